"""The shim of a client: it knows by which record its server was authenticated, and whether a certificate's contents may
be shown.

Under usage 3 the record vouches for the key alone (RFC 7671 section 5.1): the names in that certificate are anybody's,
so a program that reads them to trust the connection for another host must find none.
"""

from functools import partial
from typing import Any

from dnsbound._native import Connection, TlsError
from dnsbound.errors import Reason
from dnsbound.iana import Usage
from dnsbound.records.tlsa import TLSA
from dnsbound.tls.errors import TLSRefused
from dnsbound.tls.shim import Shim
from dnsbound.tls.transport import Transport


class ClientShim(Shim):
    """One connection in the role of a client. base_domain, records: secure TLSA records that authenticate the server,
    in place of trust anchors alone. server_verified: False where verification was switched off."""

    def __init__(
        self,
        connection: Connection,
        transport: Transport,
        *,
        base_domain: str | None = None,
        records: tuple[TLSA, ...] = (),
        server_verified: bool = True,
        **shared: Any,  # noqa: ANN401 (Shim's own)
    ) -> None:
        super().__init__(connection, transport, **shared)
        self._server_verified = server_verified
        if base_domain is not None:
            fields = [(record.usage, record.selector, record.matching_type, record.data) for record in records]
            unusable = f"no TLSA record of {base_domain} can be used"
            try:
                usable = connection.set_server_tlsa(base_domain, fields)
            except TlsError as error:  # a base domain that is no host name: aliases may lead anywhere
                usable, unusable = 0, f"{unusable}: {error}"
            if not usable:
                self._blocked = partial(TLSRefused, Reason.TLSA_UNUSABLE, unusable)

    def server_tlsa(self) -> TLSA | None:
        """The record that authenticated the server."""
        match = self._connection.server_tlsa_match()
        return None if match is None else TLSA(*match)

    def _contents_vouched_for(self) -> bool:
        match = self._connection.server_tlsa_match()
        return self._server_verified and (match is None or match[0] != Usage.DANE_EE)
