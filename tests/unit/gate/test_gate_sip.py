"""SIP through the gate: requests carry the client's identity, and no other."""

import pytest

from dnsbound.errors import LimitExceeded, Malformed, Misuse, PeerError
from dnsbound.protocols.gate_sip import FromPolicy, GatedSip, SipOptions
from dnsbound.protocols.gated import BackendError, GateClient
from dnsbound.protocols.sip_identity import address, identity_of
from dnsbound.protocols.sip_messages import SipHead
from unit.gate.clients import NAME, identity, stranger

OWN = f"sip:{NAME}@isp.example".encode()


def gate(client: GateClient | None = None, sender: FromPolicy = FromPolicy.REQUIRE) -> GatedSip:
    return GatedSip(client or identity(), SipOptions(domain="isp.example", sender=sender))


def request(
    method: bytes = b"INVITE", *, sender: bytes = OWN, to: bytes = b"sip:b@isp.example", more: bytes = b""
) -> bytes:
    via = b"Via: SIP/2.0/TLS h;branch=z9hG4bK1\r\nVia: SIP/2.0/TLS g;branch=z9hG4bK0\r\n"
    addresses = b"From: <" + sender + b">;tag=1\r\nTo: <" + to + b">\r\n"
    rest = b"Call-ID: c1\r\nCSeq: 1 " + method + b"\r\n" + more + b"Content-Length: 2\r\n\r\nhi"
    return method + b" sip:b@isp.example SIP/2.0\r\n" + via + addresses + rest


def passed(octets: bytes, client: GateClient | None = None, sender: FromPolicy = FromPolicy.REQUIRE) -> SipHead:
    """The head that the back end gets, its body behind it."""
    step = gate(client, sender).client_said(octets)
    assert step.end is None
    assert step.to_client == b""
    head, _, body = step.to_backend.partition(b"\r\n\r\n")
    assert body == b"hi"
    return SipHead.from_wire(head + b"\r\n\r\n")


@pytest.mark.parametrize("size", [1, 11, 2000])
def test_sip_05_a_request_carries_the_verified_identity(size: int) -> None:
    filtered, octets, heard = gate(), request(), b""
    for start in range(0, len(octets), size):
        heard += filtered.client_said(octets[start : start + size]).to_backend
    head = SipHead.from_wire(heard.removesuffix(b"hi"))
    assert head.only(b"p-asserted-identity") == b"<" + OWN + b">"
    assert head.only(b"dnsbound-name") == NAME.encode()
    assert len(head.values(b"via")) == 2


@pytest.mark.parametrize(
    "forged",
    [
        b"P-Asserted-Identity: <sip:admin@isp.example>\r\n",
        b"p-asserted-identity : <sip:admin@isp.example>\r\n",
        b"P_Asserted_Identity: <sip:admin@isp.example>\r\n",
        b"P-Preferred-Identity: <sip:admin@isp.example>\r\n",
        b"Remote-Party-ID: <sip:admin@isp.example>\r\n",
        b"Dnsbound-Name: admin.isp.example\r\n",
        b"DNSBOUND_NAME: admin.isp.example\r\n",
        b"Client-Cert: :YWRtaW4=:\r\n",
        b"P-Asserted-Identity:\r\n <sip:admin@isp.example>\r\n",
    ],
)
def test_sip_06_identities_that_a_client_states_are_removed(forged: bytes) -> None:
    head = passed(request(more=forged))
    assert b"admin" not in head.to_wire()
    assert head.only(b"p-asserted-identity") == b"<" + OWN + b">"
    assert head.only(b"dnsbound-name") == NAME.encode()
    response = b"SIP/2.0 200 OK\r\n" + forged + b"l: 0\r\n\r\n"
    assert gate().client_said(response).to_backend == b"SIP/2.0 200 OK\r\nl: 0\r\n\r\n"


@pytest.mark.parametrize("method", [b"ACK", b"CANCEL"])
def test_sip_05_ack_and_cancel_assert_nothing(method: bytes) -> None:
    head = passed(request(method))
    assert head.values(b"p-asserted-identity") == ()
    assert head.only(b"dnsbound-name") == NAME.encode()


def test_sip_07_granted_identities_are_asserted_and_may_be_stated() -> None:
    client = identity(sip=["sip:car54@cars.example", "tel:+358401234567"])
    head = passed(request(sender=b"sips:car54@CARS.example:5061;transport=tls"), client)
    assert head.only(b"p-asserted-identity") == b"<sip:car54@cars.example>"
    passed(request(sender=b"tel:+358401234567"), client)
    assert gate(client).client_said(request()).to_client.startswith(b"SIP/2.0 403 "), (
        "a grant takes the default's place"
    )


@pytest.mark.parametrize(
    "granted",
    ["car54@cars.example", "sip:cars.example", "sip:a@b>\r\nX: y", "sip:a@b;c>\r\nX: y", "sip:a@b;\xe4", "sip:a b@c"],
)
def test_sip_07_a_grant_that_cannot_be_asserted_is_an_error_of_the_access_list(granted: str) -> None:
    filtered = gate(identity(sip=granted))
    assert isinstance(filtered.begin().end, Misuse)
    assert filtered.client_said(request()).to_backend == b""


@pytest.mark.parametrize(
    "sender",
    [
        b"sip:admin@isp.example",
        b"sip:admin:x@isp.example",
        b"sip:" + NAME.encode() + b"@evil.example",
        b"sip:" + NAME.encode() + b"@isp.example@evil.example",
        b"sip:" + NAME.encode() + b"%40isp.example",
        b"sip:isp.example",
        b"sip:" + NAME.replace("car54", "CAR54").encode() + b"@isp.example",
        b"mailto:" + NAME.encode() + b"@isp.example",
    ],
)
def test_sip_08_a_client_that_says_it_is_somebody_else_is_forbidden(sender: bytes) -> None:
    step = gate().client_said(request(sender=sender) + request())
    assert step.to_client.startswith(b"SIP/2.0 403 Forbidden\r\nVia: SIP/2.0/TLS h;branch=z9hG4bK1\r\nVia: ")
    answer = SipHead.from_wire(step.to_client)
    assert answer.only(b"to").startswith(b"<sip:b@isp.example>;tag=")
    assert answer.only(b"cseq") == b"1 INVITE"
    assert step.to_backend.count(b"INVITE sip:") == 1, "what follows the refused request is the next one"
    assert step.to_backend.endswith(b"\r\n\r\nhi")
    assert step.end is None


def test_sip_08_nobody_is_registered_for_somebody_else() -> None:
    assert gate().client_said(request(b"REGISTER", to=b"sip:b@isp.example")).to_client.startswith(b"SIP/2.0 403 ")
    assert passed(request(b"REGISTER", to=OWN)).method == b"REGISTER"


def test_sip_08_a_forbidden_ack_has_no_answer() -> None:
    step = gate().client_said(request(b"ACK", sender=b"sip:admin@isp.example"))
    assert (step.to_client, step.to_backend, step.end) == (b"", b"", None)


def test_where_from_may_be_anything_the_identity_is_asserted_all_the_same() -> None:
    head = passed(request(sender=b"sip:anonymous@anonymous.invalid"), sender=FromPolicy.PASS)
    assert head.only(b"p-asserted-identity") == b"<" + OWN + b">"


def test_a_stranger_is_nobody() -> None:
    assert passed(request(), stranger(), FromPolicy.PASS).values(b"p-asserted-identity") == ()
    assert gate(stranger()).client_said(request()).to_client.startswith(b"SIP/2.0 403 ")


@pytest.mark.parametrize(
    "octets",
    [
        request().replace(b"From:", b"From: <sip:admin@isp.example>\r\nf:"),
        request().replace(b"Call-ID: c1\r\n", b""),
        request().replace(b"1 INVITE", b"1 REGISTER"),
        b"\r\n".join(line for line in request().split(b"\r\n") if not line.startswith(b"Via")),
        request(sender=b"sip:a@b>, <sip:c@d"),
        b"\x16\x03\x01\x00\xff\r\n\r\n",
    ],
)
def test_sip_02_a_request_that_can_be_read_in_two_ways_ends_the_connection(octets: bytes) -> None:
    step = gate().client_said(octets)
    assert step.to_backend == b""
    assert isinstance(step.end, PeerError)


def test_sip_04_a_message_without_an_end_does() -> None:
    step = gate().client_said(b"INVITE " + b"x" * 20_000)
    assert isinstance(step.end, LimitExceeded)


def test_keep_alives_pass_both_ways() -> None:
    filtered = gate()
    assert filtered.client_said(b"\r\n\r\n").to_backend == b"\r\n\r\n"
    assert filtered.backend_said(b"\r\n").to_client == b"\r\n"


def test_sip_09_what_the_back_end_says_shows_no_private_caller() -> None:
    asserted = b"P-Asserted-Identity: <sip:x@y>\r\nDnsbound-Name: x.y\r\n"
    public = gate().backend_said(request(more=asserted)).to_client
    assert b"P-Asserted-Identity" in public
    assert b"Dnsbound-Name" not in public
    private = gate().backend_said(request(more=asserted + b"Privacy: header; ID\r\n")).to_client
    assert b"P-Asserted-Identity" not in private
    assert private.endswith(b"\r\n\r\nhi")


def test_a_back_end_that_speaks_no_sip_is_at_fault() -> None:
    assert isinstance(gate().backend_said(b"HTTP/1.1 200 OK\r\n\r\n").end, BackendError)
    assert isinstance(gate().unreachable(BackendError("down")).end, BackendError)


@pytest.mark.parametrize(
    ("value", "uri"),
    [
        (b'"a <sip:x@y>" <sip:b@c>;tag=1', "sip:b@c"),
        (b"Car 54 <sip:b@c;transport=tls>", "sip:b@c;transport=tls"),
        (b"sip:b@c;tag=1", "sip:b@c"),
        (b'"\\"" <sip:b@c>', "sip:b@c"),
    ],
)
def test_addresses(value: bytes, uri: str) -> None:
    assert address(value) == uri
    assert identity_of(uri) == "b@c"


@pytest.mark.parametrize(
    "value", [b"", b"<sip:a@b", b"<sip:a@b>, <sip:c@d>", b'"x <sip:a@b>', b"<sip:a@b> <sip:c@d>", b"\xff"]
)
def test_what_is_no_address(value: bytes) -> None:
    with pytest.raises(Malformed):
        address(value)
