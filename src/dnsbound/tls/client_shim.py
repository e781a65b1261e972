"""The shim of a client: it knows by which record its server was authenticated, and whether a certificate's contents may
be shown.

Under usage 3 the record vouches for the key alone (RFC 7671 section 5.1): the names in that certificate are anybody's,
so a program that reads them to trust the connection for another host must find none.
"""

import contextlib
from functools import partial
from typing import Any

from dnsbound._native import Connection, TlsError
from dnsbound.errors import Misuse, Reason, Refused, Undecided
from dnsbound.iana import Usage
from dnsbound.records.tlsa import TLSA
from dnsbound.tls.errors import TLSMisuse, TLSRefused, verdict_error
from dnsbound.tls.post_handshake import FORBIDDEN_IN
from dnsbound.tls.server_chain import ServerChainJudge
from dnsbound.tls.shim import Shim
from dnsbound.tls.transport import Transport


class ClientShim(Shim):
    """One connection in the role of a client. base_domain, records: secure TLSA records that authenticate the server,
    in place of trust anchors alone. server_chain: judges the DNSSEC chain that the server sends in the handshake, which
    was asked for. server_verified: False where verification was switched off."""

    def __init__(
        self,
        connection: Connection,
        transport: Transport,
        *,
        base_domain: str | None = None,
        records: tuple[TLSA, ...] = (),
        server_chain: ServerChainJudge | None = None,
        server_verified: bool = True,
        **shared: Any,  # noqa: ANN401 (Shim's own)
    ) -> None:
        super().__init__(connection, transport, **shared)
        self._server_verified = server_verified
        self._server_chain = server_chain
        if base_domain is not None:
            try:
                self._authenticate_by(base_domain, records)
            except Refused as refusal:
                self._blocked = partial(TLSRefused, refusal.reason, refusal.detail)

    def _authenticate_by(self, base_domain: str, records: tuple[TLSA, ...]) -> None:
        """Refused with TLSA_UNUSABLE where the engine can use none of the records."""
        fields = [(record.usage, record.selector, record.matching_type, record.data) for record in records]
        unusable = f"no TLSA record of {base_domain} can be used"
        try:
            usable = self._connection.set_server_tlsa(base_domain, fields)
        except TlsError as error:  # a base domain that is no host name: aliases may lead anywhere
            raise Refused(Reason.TLSA_UNUSABLE, f"{unusable}: {error}") from None
        if not usable:
            raise Refused(Reason.TLSA_UNUSABLE, unusable)

    # --- the server's own chain

    def _judge_server(self) -> None:
        """RFC 9102 section 6, before the server's certificate is verified and before anything of ours is shown."""
        chain = self._server_chain
        assert chain is not None  # who asks for a chain brings its judge
        try:
            records = chain.judge(self._connection.server_chain())
            if records:
                self._authenticate_by(chain.base_domain, records)
        except (Refused, Undecided) as verdict:
            self._turn_away()
            raise verdict_error(verdict) from None
        except BaseException as error:
            self._turn_away()
            if isinstance(error, Misuse):
                raise TLSMisuse(str(error)) from error
            raise
        self._connection.judge_server(allowed=True)

    def _turn_away(self) -> None:
        """The server is told by an alert that it was not believed."""
        self._connection.judge_server(allowed=False)
        with contextlib.suppress(TlsError):
            self._connection.do_handshake()
        self._send_what_is_left()

    def _shake_hands(self) -> None:
        super()._shake_hands()
        if self._connection.selected_alpn() in FORBIDDEN_IN:
            self._connection.forbid_late_requests()
        if self._server_chain is not None:
            try:
                self._server_chain.settle(by_records=self._connection.server_tlsa_match() is not None)
            except Misuse as error:
                raise TLSMisuse(str(error)) from error

    def server_tlsa(self) -> TLSA | None:
        """The record that authenticated the server."""
        match = self._connection.server_tlsa_match()
        return None if match is None else TLSA(*match)

    def _contents_vouched_for(self) -> bool:
        match = self._connection.server_tlsa_match()
        return self._server_verified and (match is None or match[0] != Usage.DANE_EE)
