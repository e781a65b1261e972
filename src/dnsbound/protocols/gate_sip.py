"""SIP through the gate: requests of a client carry its verified identity, and no other.

From what a client sends, every field is removed by which a back end could be told who somebody is: P-Asserted-Identity
and its likes, Remote-Party-ID, the gate's own. Its requests then get P-Asserted-Identity (RFC 3325; not ACK and CANCEL,
RFC 5876 section 3.2) and Dnsbound-Name. With `from = "require"` the client must also be who its From says, and may
register nobody else: other requests are answered 403 by the gate. What the back end sends passes, without the gate's
own fields and without the identity of callers who asked for privacy (RFC 3325 section 9.3 of "id").

What this is not: a SIP proxy. It adds no Via, keeps no transaction and knows no dialogs; the connection to the back end
is the client's own, so responses need no routing.

Sections: RFC 3261 sections 8.2.6, 8.2.7, 18.3; RFC 3325 sections 5, 7 and 9.1; RFC 5876 section 3.2.
"""

import hashlib
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from dnsbound.errors import DnsboundError, LimitExceeded, Malformed, Misuse, PeerError
from dnsbound.protocols.gate_steps import GrowingStep
from dnsbound.protocols.gated import NOTHING, BackendError, GateClient, GateIdentity, Step, ended_by_grants
from dnsbound.protocols.identity_headers import NAME, is_identity_header
from dnsbound.protocols.sip_identity import SipIdentity
from dnsbound.protocols.sip_messages import Fields, SipHead, SipStream, canonical

_MARK: Final = re.compile(rb"[^a-z0-9]")
_ASSERTED: Final = re.compile(rb"p-(asserted|preferred)-.*|remote-party-id")
_PRIVATE: Final = re.compile(rb"p-asserted-identity|remote-party-id")
_NOT_ASSERTED_IN: Final = frozenset({b"ACK", b"CANCEL"})
_COPIED: Final = (b"via", b"from", b"to", b"call-id", b"cseq")
"""Fields of a response that are those of its request (RFC 3261 section 8.2.6.2)."""


class FromPolicy(StrEnum):
    """What the From of a request must say."""

    REQUIRE = "require"
    """The client's own identity."""
    PASS = "pass"  # noqa: S105 (no password)
    """Anything: the back end reads P-Asserted-Identity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SipOptions:
    """domain: the SIP domain that client names are users of."""

    domain: str
    sender: FromPolicy = FromPolicy.REQUIRE


class GatedSip:
    """A `GatedProtocol`."""

    __slots__ = ("_admitted", "_from_backend", "_from_client", "_identity", "_name", "_options", "_refused", "_step")

    def __init__(self, client: GateClient, options: SipOptions) -> None:
        self._admitted = client
        self._identity: SipIdentity | None = None
        self._name = b""
        self._options = options
        self._from_client = SipStream()
        self._from_backend = SipStream()
        self._refused = False
        """The body that comes belongs to a request that is not passed on."""
        self._step = GrowingStep()
        if isinstance(client, GateIdentity):
            self._name = client.name.canonical.encode("ascii")
            try:
                self._identity = SipIdentity(client, options.domain)
            except Misuse as error:
                self._step.end = error

    def begin(self) -> Step:
        """Ends with a Misuse where the client's grant cannot be asserted."""
        return self._step.taken()

    def unreachable(self, error: BackendError) -> Step:
        """Without a word: to a SIP client a connection that ends is an answer 503 (RFC 3261 section 8.1.3.1)."""
        return Step(end=error)

    def client_said(self, octets: bytes) -> Step:
        if self._step.end is not None:
            return NOTHING
        self._from_client.receive(octets)
        try:
            while (heard := self._from_client.next()) is not None:
                self._client_sent(heard)
        except DnsboundError as error:
            self._step.end = error if isinstance(error, LimitExceeded) else PeerError(str(error))
        return self._step.taken()

    def backend_said(self, octets: bytes) -> Step:
        if self._step.end is not None:
            return NOTHING
        self._from_backend.receive(octets)
        try:
            while (heard := self._from_backend.next()) is not None:
                self._step.to_client += heard if isinstance(heard, bytes) else _shown(heard).to_wire()
        except DnsboundError as error:
            self._step.end = BackendError(f"the SIP server: {error}")
        return self._step.taken()

    def client_ended(self) -> Step:
        return NOTHING

    def backend_ended(self) -> Step:
        return NOTHING

    def renewed(self, identity: GateIdentity) -> Step:
        return ended_by_grants(self._admitted, identity)

    # --- what the client says

    def _client_sent(self, heard: SipHead | bytes) -> None:
        if isinstance(heard, bytes):
            self._step.to_backend += b"" if self._refused else heard
            self._refused = self._refused and self._from_client.body_left > 0
            return
        passed = replace(heard, fields=tuple(field for field in heard.fields if not _says_who(field[0])))
        self._refused = False
        if heard.method is None:
            self._step.to_backend += passed.to_wire()
        elif self._is_the_clients(heard):
            fields = self._asserted(heard.method) + passed.fields
            self._step.to_backend += replace(passed, fields=fields).to_wire()
        else:
            self._refused = heard.body_octets > 0
            self._step.to_client += b"" if heard.method == b"ACK" else _forbidden(heard)

    def _is_the_clients(self, request: SipHead) -> bool:
        """Also where anything passes, what every request must have is there once."""
        sender, receiver = request.only(b"from"), request.only(b"to")
        request.only(b"call-id")
        if request.only(b"cseq").split()[1:] != [request.method]:
            raise Malformed("a SIP request whose CSeq names another method")
        if not request.values(b"via"):
            raise Malformed("a SIP request without Via")
        if self._options.sender is FromPolicy.PASS:
            return True
        if self._identity is None or not self._identity.named_by(sender):
            return False
        return request.method != b"REGISTER" or self._identity.named_by(receiver)

    def _asserted(self, method: bytes) -> Fields:
        if self._identity is None:
            return ()
        name = ((NAME.encode("ascii"), self._name),)
        if method in _NOT_ASSERTED_IN:
            return name
        return ((b"P-Asserted-Identity", b"<" + self._identity.asserted + b">"), *name)


def _says_who(name: bytes) -> bool:
    """Whether a back end could take a field of this name for one that says who somebody is."""
    spelling = _MARK.sub(b"-", canonical(name))
    return is_identity_header(name) or _ASSERTED.fullmatch(spelling) is not None


def _shown(head: SipHead) -> SipHead:
    """What a client may see of a message of the back end."""
    wishes = b";".join(head.values(b"privacy")).replace(b",", b";").split(b";")
    private = b"id" in {wish.strip().lower() for wish in wishes}
    fields = tuple(
        field
        for field in head.fields
        if not is_identity_header(field[0]) and not (private and _PRIVATE.fullmatch(canonical(field[0])))
    )
    return replace(head, fields=fields)


def _forbidden(request: SipHead) -> bytes:
    """The gate's own answer. Its To tag is the same for a request that is sent again (RFC 3261 section 8.2.7)."""
    fields = [field for field in request.fields if canonical(field[0]) in _COPIED]
    digest = hashlib.sha256(b"\n".join(request.only(name) for name in (b"from", b"call-id", b"cseq"))).hexdigest()
    told = [
        (
            name,
            value + b";tag=" + digest[:16].encode("ascii")
            if canonical(name) == b"to" and b"tag=" not in value
            else value,
        )
        for name, value in fields
    ]
    head = SipHead(
        start_line=b"SIP/2.0 403 Forbidden", method=None, fields=(*told, (b"Content-Length", b"0")), body_octets=0
    )
    return head.to_wire()
