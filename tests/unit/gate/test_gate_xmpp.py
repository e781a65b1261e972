"""XMPP through the gate: EXTERNAL on one side, PLAIN on the other, and nothing passes before both agree."""

import base64

import pytest

from dnsbound.door_limits import SASL_ATTEMPTS
from dnsbound.errors import DnsboundError, LimitExceeded, Malformed, Misuse, PeerError
from dnsbound.names import ClientName
from dnsbound.protocols import xmpp_words as words
from dnsbound.protocols.gate_xmpp import GatedXmpp, XmppGreeting, XmppOptions
from dnsbound.protocols.gated import BackendError, GateIdentity, Step
from dnsbound.protocols.xmpp_identity import XmppIdentity
from unit.gate.clients import NAME, identity

DOMAIN, SECRET = "xmpp.isp.example", "s3cret"
OPENED = words.stream_head(to=DOMAIN)
FEATURES = (
    f"<stream:features><mechanisms xmlns='{words.SASL}'><mechanism>PLAIN</mechanism></mechanisms></stream:features>"
)
SERVER = words.stream_head(from_=DOMAIN, id="server") + FEATURES.encode()


def external(wanted: str = "") -> bytes:
    return words.sasl_auth("EXTERNAL", base64.b64encode(wanted.encode()).decode() or "=")


def plain(local: str) -> bytes:
    return words.sasl_auth("PLAIN", base64.b64encode(f"\0{local}\0{SECRET}".encode()).decode())


class Session:
    """One connection, its server played by the test."""

    def __init__(self, client: GateIdentity | None = None) -> None:
        self.filter = GatedXmpp(client or identity(), XmppOptions(domain=DOMAIN, secret=SECRET), "gate-id")
        self.to_client = self.to_backend = b""
        self.end: DnsboundError | None = None
        self.take(self.filter.begin())

    def take(self, step: Step) -> None:
        self.to_client += step.to_client
        self.to_backend += step.to_backend
        self.end = self.end or step.end

    def client(self, octets: bytes) -> bytes:
        """What the client hears at once."""
        self.to_client = self.to_backend = b""
        self.take(self.filter.client_said(octets))
        return self.to_client

    def server(self, octets: bytes) -> bytes:
        """What the client hears of it."""
        self.to_client = self.to_backend = b""
        self.take(self.filter.backend_said(octets))
        return self.to_client


@pytest.mark.parametrize("size", [1, 10, 5000])
def test_xm_05_a_client_logs_in_as_its_name(size: int) -> None:
    session, heard, told = Session(), b"", b""
    assert session.to_backend == OPENED
    for start in range(0, len(SERVER), size):
        heard += session.server(SERVER[start : start + size])
    assert heard == b""
    octets = OPENED + external()
    for start in range(0, len(octets), size):
        heard += session.client(octets[start : start + size])
        told += session.to_backend
    assert heard == words.stream_head(from_=DOMAIN, id="gate-id") + words.OFFER_EXTERNAL
    assert told == plain(NAME)
    assert session.server(words.SUCCEEDED) == words.SUCCEEDED
    assert session.client(OPENED + b"<iq type='set'/>") == b""
    assert session.to_backend == words.stream_head(to=DOMAIN, from_=f"{NAME}@{DOMAIN}") + b"<iq type='set'/>"
    session.client(b"<!-- octets pass -->")
    assert session.to_backend == b"<!-- octets pass -->"
    assert session.server(b"\x00") == b"\x00"
    assert session.filter.backend_ended() == Step()


def test_xm_05_the_server_may_be_later_than_the_client() -> None:
    session = Session()
    session.client(OPENED + external(f"{NAME}@{DOMAIN}"))
    assert session.to_backend == b""
    session.server(SERVER)
    assert session.to_backend == plain(NAME)


def test_xm_05_external_by_challenge() -> None:
    session = Session()
    session.server(SERVER)
    assert session.client(OPENED + words.sasl_auth("EXTERNAL", "")).endswith(words.CHALLENGE)
    session.client(f"<response xmlns='{words.SASL}'>=</response>".encode())
    assert session.to_backend == plain(NAME)


def test_xm_06_a_granted_address_takes_the_names_place() -> None:
    session = Session(identity(jid=[f"fleet@{DOMAIN}", f"Car54@{DOMAIN}"]))
    session.server(SERVER)
    session.client(OPENED + external())
    assert session.to_backend == plain("fleet")
    session = Session(identity(jid=[f"fleet@{DOMAIN}", f"Car54@{DOMAIN}"]))
    session.server(SERVER)
    session.client(OPENED + external(f"CAR54@{DOMAIN}"))
    assert session.to_backend == plain("car54")


@pytest.mark.parametrize(
    "wanted",
    [
        f"admin@{DOMAIN}",
        NAME,
        f"{NAME}@isp.example",
        f"{NAME}@{DOMAIN}/x",
        f"{NAME}@{DOMAIN}@{DOMAIN}",
        DOMAIN,
        "\0",
        "@",
    ],
)
def test_xm_06_nobody_logs_in_as_anybody_else(wanted: str) -> None:
    session = Session()
    session.server(SERVER)
    session.client(OPENED)
    for _ in range(SASL_ATTEMPTS.default):
        assert session.client(external(wanted)).startswith(b"<failure ")
        assert session.to_backend == b""
    session.client(external(wanted))
    assert isinstance(session.end, LimitExceeded)
    assert session.end.limit == SASL_ATTEMPTS.name


@pytest.mark.parametrize(
    "granted", ["fleet", "fleet@isp.example", f"a b@{DOMAIN}", f"@{DOMAIN}", f"\xe4@{DOMAIN}", f"a\0b@{DOMAIN}"]
)
def test_xm_06_a_grant_that_is_no_address_is_an_error_of_the_access_list(granted: str) -> None:
    session = Session(identity(jid=granted))
    assert isinstance(session.end, Misuse)
    assert session.client(OPENED) == b""


def test_xm_06_a_name_is_a_local_part_as_it_is() -> None:
    """Two names are never one address, and none of their characters is one that XEP-0106 escapes."""
    named = identity("Car-54._device.Cars.example")
    assert XmppIdentity(named, DOMAIN).chosen("") == "car-54._device.cars.example"
    assert not set(" \"&'/:<>@\\") & set(ClientName.parse("a-b_c.d0").canonical)


@pytest.mark.parametrize(
    ("element", "condition"),
    [
        (words.sasl_auth("PLAIN", "AGEAYg=="), b"invalid-mechanism"),
        (words.sasl_auth("EXTERNAL", "!!"), b"incorrect-encoding"),
        (f"<abort xmlns='{words.SASL}'/>".encode(), b"aborted"),
    ],
)
def test_xm_07_sasl_that_fails_may_be_tried_again(element: bytes, condition: bytes) -> None:
    session = Session()
    session.server(SERVER)
    session.client(OPENED)
    assert condition in session.client(element)
    assert session.end is None
    session.client(external())
    assert session.to_backend == plain(NAME)


@pytest.mark.parametrize(
    ("octets", "condition"),
    [
        (OPENED.replace(DOMAIN.encode(), b"other.example"), b"host-unknown"),
        (OPENED.replace(b"version='1.0' to", b"version='0.9' to"), b"unsupported-version"),
        (OPENED.replace(b"jabber:client", b"jabber:server"), b"invalid-namespace"),
        (OPENED + b"<message to='x'/>", b"not-authorized"),
        (OPENED + b"</stream:stream>", b"not-authorized"),
        (OPENED + b"<!DOCTYPE a>", b"not-well-formed"),
        (OPENED + b"<a>" + b"x" * 20_000, b"policy-violation"),
    ],
)
def test_xm_07_what_is_no_login_ends_the_stream(octets: bytes, condition: bytes) -> None:
    session = Session()
    session.server(SERVER)
    heard = session.client(octets)
    assert heard.startswith(b"<?xml ")
    assert heard.endswith(words.stream_error(condition.decode()))
    assert session.to_backend == b""
    assert session.end is not None
    assert session.client(external()) == b""


def test_xm_08_after_login_the_stream_is_to_the_same_domain() -> None:
    session = Session()
    session.server(SERVER)
    session.client(OPENED + external())
    session.server(words.SUCCEEDED)
    session.client(OPENED.replace(DOMAIN.encode(), b"other.example"))
    assert session.to_backend == b""
    assert isinstance(session.end, PeerError)


@pytest.mark.parametrize(
    "said",
    [
        [SERVER.replace(b"PLAIN", b"SCRAM-SHA-1")],
        [SERVER, f"<failure xmlns='{words.SASL}'><not-authorized/></failure>".encode()],
        [SERVER, words.SUCCEEDED + b"<a/>"],
        [SERVER, words.SUCCEEDED, b"<a/>"],
        [SERVER + FEATURES.encode()],
        [b"HTTP/1.1 400 Bad Request\r\n"],
        [words.stream_head(from_=DOMAIN) + b"</stream:stream>"],
    ],
)
def test_xm_09_a_server_that_does_not_let_the_gate_in(said: list[bytes]) -> None:
    session = Session()
    session.client(OPENED + external())
    heard = b"".join(session.server(octets) for octets in said)
    assert heard.endswith(words.stream_error("remote-connection-failed"))
    assert isinstance(session.end, BackendError)


def test_xm_09_a_server_that_is_not_there_or_goes_away() -> None:
    error = words.stream_error("remote-connection-failed")
    step = Session().filter.unreachable(BackendError("down"))
    assert step.to_client == words.stream_head(from_=DOMAIN, id="gate-id") + error
    session = Session()
    session.client(OPENED)
    step = session.filter.backend_ended()
    assert isinstance(step.end, BackendError)
    assert step.to_client == error


def test_xm_04_before_tls_there_is_starttls_alone() -> None:
    greeting = XmppGreeting(DOMAIN, "id")
    assert greeting.begin() == Step()
    assert greeting.client_said(OPENED).to_client == words.stream_head(from_=DOMAIN, id="id") + words.OFFER_TLS
    step = greeting.client_said(f"<starttls xmlns='{words.TLS}'/>".encode())
    assert step == Step(to_client=words.PROCEED, upgrade=True)
    assert greeting.client_said(OPENED) == Step()


@pytest.mark.parametrize("behind", [b" ", OPENED, b"\x16\x03\x01", b"<"])
def test_xm_04_what_stands_behind_starttls_is_an_injection(behind: bytes) -> None:
    step = XmppGreeting(DOMAIN, "id").client_said(OPENED + f"<starttls xmlns='{words.TLS}'/>".encode() + behind)
    assert not step.upgrade
    assert isinstance(step.end, PeerError)


@pytest.mark.parametrize(
    ("octets", "error", "condition"),
    [
        (OPENED + external(), PeerError, "policy-violation"),
        (OPENED + OPENED, Malformed, "not-well-formed"),
        (OPENED.replace(DOMAIN.encode(), b"x.example"), PeerError, "host-unknown"),
        (b"<" + b"x" * 20_000, LimitExceeded, "policy-violation"),
        (b"GET / HTTP/1.1\r\n", Malformed, "not-well-formed"),
    ],
)
def test_xm_04_everything_else_in_clear_ends_the_stream(octets: bytes, error: type[Exception], condition: str) -> None:
    step = XmppGreeting(DOMAIN, "id").client_said(octets)
    assert isinstance(step.end, error)
    assert step.to_client.startswith(b"<?xml ")
    assert step.to_client.endswith(words.stream_error(condition))
