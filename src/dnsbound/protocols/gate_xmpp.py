"""XMPP through the gate: SASL EXTERNAL towards the client, SASL PLAIN with the gate's own secret towards the server.

The client has been verified by TLS; here it opens its stream, and logs in by EXTERNAL as its verified name in the
gate's domain or as an address that its grant `jid` lists (XEP-0178 section 2, with a DNS name in place of the address
in a certificate). The gate has meanwhile opened a stream of its own to the server, on the same machine, and logs in
there as the same user: by PLAIN, with a secret that only the two share. When the server agrees the client hears
success, opens its last stream, which must be to the same domain, and from then on octets pass both ways: resources,
stanzas and stream management are between client and server.

`XmppGreeting` is the part before TLS. What this is not: server to server, or a parser of stanzas.

Sections: RFC 6120 sections 4, 5.4, 6.4, 6.5 and 13.8; XEP-0178 section 2.
"""

import base64
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from dnsbound.door_limits import SASL_ATTEMPTS
from dnsbound.errors import DnsboundError, LimitExceeded, Malformed, Misuse, PeerError
from dnsbound.limits import Budget
from dnsbound.protocols import xmpp_words as words
from dnsbound.protocols.gate_steps import GrowingStep
from dnsbound.protocols.gated import NOTHING, BackendError, GateIdentity, Step, ended_by_grants
from dnsbound.protocols.sasl_external import authorization_identity
from dnsbound.protocols.xmpp_identity import XmppIdentity
from dnsbound.protocols.xmpp_stream import Element, StreamEnd, StreamHead, XmppStream


@dataclass(frozen=True, slots=True, kw_only=True)
class XmppOptions:
    """domain: in lower case. secret: what the server takes for the password of every user, from the gate alone."""

    domain: str
    secret: str


class _StreamError(PeerError):
    """condition: of RFC 6120 section 4.9.3."""

    def __init__(self, condition: str, what: str) -> None:
        super().__init__(what)
        self.condition = condition


def _check_head(heard: object, domain: str) -> StreamHead:
    """Of a client's stream."""
    if not isinstance(heard, StreamHead) or heard.name != words.STREAM or heard.namespace != words.CLIENT:
        raise _StreamError("invalid-namespace", "no stream of an XMPP client")
    if heard.attributes.get("to", "").lower() != domain:
        raise _StreamError("host-unknown", "a stream to another domain")
    if not heard.attributes.get("version", "").startswith("1."):
        raise _StreamError("unsupported-version", "a stream of an XMPP without SASL")
    return heard


def _condition(error: DnsboundError) -> str:
    match error:
        case _StreamError():
            return error.condition
        case LimitExceeded():
            return "policy-violation"
        case BackendError():
            return "remote-connection-failed"
        case Malformed():
            return "not-well-formed"
        case _:
            return "internal-server-error"


class XmppGreeting:
    """A `ClearGreeting`. stream_id: that nobody can guess."""

    __slots__ = ("_domain", "_greeted", "_id", "_over", "_stream")

    def __init__(self, domain: str, stream_id: str) -> None:
        self._domain = domain
        self._id = stream_id
        self._stream = XmppStream()
        self._greeted = self._over = False

    def begin(self) -> Step:
        return NOTHING

    def client_said(self, octets: bytes) -> Step:
        if self._over:
            return NOTHING
        said = b""
        try:
            self._stream.receive(octets)
            while (heard := self._stream.next()) is not None:
                if isinstance(heard, Element) and heard.name == words.STARTTLS:
                    return self._upgrade(said)
                said += self._answer(heard)
        except DnsboundError as error:
            self._over = True
            head = b"" if self._greeted else words.stream_head(from_=self._domain, id=self._id)
            return Step(to_client=said + head + words.stream_error(_condition(error)), end=error)
        return Step(to_client=said)

    def _answer(self, heard: StreamHead | Element | StreamEnd) -> bytes:
        if self._greeted:
            raise _StreamError("policy-violation", "a client that wants something else than STARTTLS")
        _check_head(heard, self._domain)
        self._greeted = True
        return words.stream_head(from_=self._domain, id=self._id) + words.OFFER_TLS

    def _upgrade(self, said: bytes) -> Step:
        self._over = True
        if self._stream.finish():
            return Step(end=PeerError("octets behind STARTTLS, to be taken for protected ones"))
        return Step(to_client=said + words.PROCEED, upgrade=True)


class _Client(Enum):
    """What is awaited of the client."""

    HEAD = auto()
    AUTH = auto()
    RESPONSE = auto()
    LOGGED_IN = auto()
    """Nothing: the server is asked."""
    LAST_HEAD = auto()
    PASSED = auto()


class _Server(Enum):
    """What is awaited of the server."""

    HEAD = auto()
    FEATURES = auto()
    CLIENT = auto()
    """Nothing: the client has not said yet who it is."""
    SUCCESS = auto()
    LAST_HEAD = auto()
    """Nothing: the client opens its last stream."""
    PASSED = auto()


class GatedXmpp:
    """A `GatedProtocol`. stream_id: that nobody can guess."""

    __slots__ = (
        "_admitted",
        "_asked",
        "_attempts",
        "_client",
        "_from_client",
        "_from_server",
        "_greeted",
        "_id",
        "_identity",
        "_local",
        "_options",
        "_server",
        "_step",
    )

    def __init__(self, client: GateIdentity, options: XmppOptions, stream_id: str) -> None:
        self._options = options
        self._id = stream_id
        self._client = _Client.HEAD
        self._server = _Server.HEAD
        self._from_client = XmppStream()
        self._from_server = XmppStream()
        self._attempts = Budget(SASL_ATTEMPTS)
        self._greeted = False
        self._local = ""
        self._step = GrowingStep()
        self._admitted = client
        self._identity: XmppIdentity | None = None
        try:
            self._identity = XmppIdentity(client, options.domain)
        except Misuse as error:
            self._step.end = error

    def begin(self) -> Step:
        """Ends with a Misuse where the client's grant is no address of the domain."""
        self._step.to_backend += words.stream_head(to=self._options.domain)
        return self._step.taken()

    def unreachable(self, error: BackendError) -> Step:
        self._fail(error)
        return self._step.taken()

    def client_said(self, octets: bytes) -> Step:
        if self._step.end is not None:
            return NOTHING
        if self._client is _Client.PASSED:
            return Step(to_backend=octets)
        try:
            self._from_client.receive(octets)
            self._read_client()
        except DnsboundError as error:
            self._fail(error)
        return self._step.taken()

    def backend_said(self, octets: bytes) -> Step:
        if self._step.end is not None:
            return NOTHING
        if self._server is _Server.PASSED:
            return Step(to_client=octets)
        try:
            self._from_server.receive(octets)
            while (heard := self._from_server.next()) is not None:
                self._server_sent(heard)
            self._read_client()
        except DnsboundError as error:
            self._fail(error if isinstance(error, BackendError) else BackendError(f"the XMPP server: {error}"))
        return self._step.taken()

    def client_ended(self) -> Step:
        return NOTHING

    def backend_ended(self) -> Step:
        if self._server is not _Server.PASSED and self._step.end is None:
            self._fail(BackendError("the XMPP server went away before the client was logged in"))
        return self._step.taken()

    def renewed(self, identity: GateIdentity) -> Step:
        return ended_by_grants(self._admitted, identity)

    def _fail(self, error: DnsboundError) -> None:
        if not self._greeted:
            self._step.to_client += words.stream_head(from_=self._options.domain, id=self._id)
        self._step.to_client += words.stream_error(_condition(error))
        self._step.end = error

    # --- what the client says

    def _read_client(self) -> None:
        while self._client not in _SILENT and (heard := self._from_client.next()) is not None:
            self._client_sent(heard)

    def _client_sent(self, heard: StreamHead | Element | StreamEnd) -> None:
        match self._client:
            case _Client.HEAD:
                _check_head(heard, self._options.domain)
                self._greeted = True
                head = words.stream_head(from_=self._options.domain, id=self._id)
                self._step.to_client += head + words.OFFER_EXTERNAL
                self._client = _Client.AUTH
            case _Client.LAST_HEAD:
                _check_head(heard, self._options.domain)
                self._open_last()
            case _:
                self._sasl(heard)

    def _sasl(self, heard: StreamHead | Element | StreamEnd) -> None:
        name = heard.name if isinstance(heard, Element) else ""
        if isinstance(heard, Element) and name == words.AUTH and self._client is _Client.AUTH:
            if heard.attributes.get("mechanism") != "EXTERNAL":
                self._refuse("invalid-mechanism")
            elif heard.text:
                self._log_in(heard.text)
            else:
                self._client = _Client.RESPONSE
                self._step.to_client += words.CHALLENGE
        elif isinstance(heard, Element) and name == words.RESPONSE and self._client is _Client.RESPONSE:
            self._log_in(heard.text)
        elif name == words.ABORT:
            self._refuse("aborted")
        else:
            raise _StreamError("not-authorized", "a client that goes on without SASL")

    def _log_in(self, carried: str) -> None:
        assert self._identity is not None
        try:
            wanted = authorization_identity("".join(carried.split()).encode("utf-8"))
        except Malformed:
            self._refuse("incorrect-encoding")
            return
        try:
            self._local = self._identity.chosen(wanted)
        except Malformed:
            self._refuse("invalid-authzid")
            return
        self._client = _Client.LOGGED_IN
        if self._server is _Server.CLIENT:
            self._ask_server()

    def _refuse(self, condition: str) -> None:
        self._step.to_client += words.sasl_failure(condition)
        self._client = _Client.AUTH
        self._attempts.spend()

    def _open_last(self) -> None:
        """The client's last stream is opened anew by the gate: its head says what was judged, and nothing else."""
        jid = f"{self._local}@{self._options.domain}"
        self._step.to_backend += words.stream_head(to=self._options.domain, from_=jid)
        self._step.to_backend += self._from_client.finish()
        self._from_server.finish()
        self._client = _Client.PASSED
        self._server = _Server.PASSED

    # --- what the server says

    def _server_sent(self, heard: StreamHead | Element | StreamEnd) -> None:
        match self._server, heard:
            case _Server.HEAD, StreamHead(name=words.STREAM):
                self._server = _Server.FEATURES
            case _Server.FEATURES, Element(name=words.FEATURES):
                _check_offer(heard)
                self._server = _Server.CLIENT
                if self._client is _Client.LOGGED_IN:
                    self._ask_server()
            case _Server.SUCCESS, Element(name=words.SUCCESS):
                self._step.to_client += words.SUCCEEDED
                self._client = _Client.LAST_HEAD
                self._server = _Server.LAST_HEAD
                self._from_client = XmppStream(self._from_client.finish())
            case _:
                name = heard.name if isinstance(heard, Element) else "the end of its stream"
                raise BackendError(f"the XMPP server does not let the gate in: {name}")

    def _ask_server(self) -> None:
        message = f"\0{self._local}\0{self._options.secret}".encode()
        self._step.to_backend += words.sasl_auth("PLAIN", base64.b64encode(message).decode("ascii"))
        self._server = _Server.SUCCESS


_SILENT: Final = frozenset({_Client.LOGGED_IN, _Client.PASSED})
"""While nothing is awaited of a client, what it says is kept."""


def _check_offer(features: Element) -> None:
    lists = [child for child in features.children if child.name == words.MECHANISMS]
    if "PLAIN" not in {mechanism.text.strip() for each in lists for mechanism in each.children}:
        raise BackendError("the XMPP server does not offer PLAIN to the gate, which speaks to it without TLS")
