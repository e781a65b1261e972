"""Where the faces of the verify service read octets of fronts, and of clients that fronts hand on; and certificates
that are to be put into a trust store."""

import json
from base64 import b64encode
from urllib.parse import quote, urlencode

from envoy.service.auth.v3.external_auth_pb2 import CheckRequest
from google.protobuf.message import DecodeError

from dnsbound.credential.credential import Credential
from dnsbound.credential.ssh_key import SshKey
from dnsbound.credential.trust_store import subject_hash, why_not_trusted
from dnsbound.errors import Malformed
from dnsbound.names import ClientName
from dnsbound.protocols.emqx_http import EmqxLogin, EmqxTopic
from dnsbound.protocols.envoy_check import CheckQuestion, allowed
from dnsbound.protocols.form_fields import form_fields
from dnsbound.protocols.freeradius_rest import FreeRadiusAsked
from dnsbound.protocols.postfix_policy import ACTIONS, PolicyOutcome, PolicyRequests, PolicyUse, answer_to
from dnsbound.protocols.rabbitmq_http import RabbitAsked, RabbitQuestion, permits
from dnsbound.protocols.ssh_keys import SshHost, account_of
from dnsbound.protocols.verify_lines import LineQuestion, Lines
from fuzz.target import Target, text

NAME = ClientName.parse("car54._device.cars.example")
NOW = 1_790_000_000.0
DIGEST = "AB:" * 31 + "AB"
GRANTS = {"publish": ("devices/%u/#",), "subscribe": ("fleet/+",), "rabbitmq": ("queue:read:all*",)}


def leaf() -> bytes:
    return Credential.generate(NAME, now=NOW).chain[0]


def read_policy(octets: bytes) -> object:
    """In pieces and at once: the same requests; each has an answer of one action."""
    whole, pieces = PolicyRequests(), PolicyRequests()
    requests = list(whole.feed(octets))
    assert [each for at in range(len(octets)) for each in pieces.feed(octets[at : at + 1])] == requests
    for request in requests:
        assert list(PolicyRequests().feed(request.to_wire())) == [request]
        for use, outcome in ACTIONS:
            answer = answer_to(request, use, outcome, NAME)
            assert answer.endswith(b"\n\n")
            assert answer.count(b"\n") == 2
        assert answer_to(request, PolicyUse.REQUIRE, PolicyOutcome.REFUSED).startswith(b"action=REJECT ")
    return [request.presented for request in requests]


def read_lines(octets: bytes) -> object:
    whole, pieces = Lines(), Lines()
    lines = list(whole.feed(octets))
    assert [each for at in range(len(octets)) for each in pieces.feed(octets[at : at + 1])] == lines
    return [LineQuestion.from_wire(line) for line in lines]


def read_rabbit(octets: bytes) -> object:
    found = []
    for kind in RabbitQuestion:
        asked = RabbitAsked.from_form(kind, octets)
        found.append(permits(asked, GRANTS, vhost="/", exchange="amq.topic"))
    return found


def read_key(octets: bytes) -> object:
    kind, _, body = text(octets).partition(" ")
    key = SshKey.from_text(kind, body)
    assert SshKey.from_spki(key.spki) == key
    return key


def read_host(octets: bytes) -> object:
    host = SshHost.from_text(text(octets))
    assert SshHost.from_text(host.to_text()) == host
    return host.owner


def read_check(octets: bytes) -> object:
    try:
        message = CheckRequest.FromString(octets)
    except DecodeError:
        raise Malformed("gRPC answers this itself") from None
    question = CheckQuestion(message)
    assert not any(name.startswith("dnsbound") for name in _left(question))
    return question.chain, question.source, question.protocol


def _left(question: CheckQuestion) -> set[str]:
    """Fields of the client that stay beside ours."""
    response = allowed(question, [(b"Dnsbound-Name", b"x")])
    sent = set(question._attributes.request.http.headers)  # noqa: SLF001 (what came)
    written = {option.header.key for option in response.ok_response.headers}
    return sent - set(response.ok_response.headers_to_remove) - written


def check() -> bytes:
    request = CheckRequest()
    request.attributes.source.certificate = quote(b64encode(leaf()).decode(), safe="")
    request.attributes.request.http.headers.update({"dnsbound-name": "x", "dnsbound_door": "y", "accept": "*/*"})
    return bytes(request.SerializeToString())


def policy() -> bytes:
    told = {"request": "smtpd_access_policy", "protocol_state": "DATA", "helo_name": NAME.text}
    told |= {"ccert_fingerprint": DIGEST, "ccert_pubkey_fingerprint": DIGEST.replace(":", "")}
    return "".join(f"{name}={value}\n" for name, value in told.items()).encode() + b"\n"


def as_json(**members: object) -> bytes:
    return json.dumps(members).encode()


def radius() -> bytes:
    told = {"User-Name": NAME.text, "TLS-Client-Cert-Subject-Alt-Name-Dns": NAME.text, "TLS-Client-Cert-Serial": "0a"}
    return as_json(**{name: {"type": "string", "value": [value]} for name, value in told.items()})


FRONT_FACE_TARGETS: dict[str, Target] = {
    "postfix-policy": Target(read_policy, lambda: [policy(), policy() * 2]),
    "verify-lines": Target(
        read_lines,
        lambda: [
            as_json(v=1, certificate=b64encode(leaf()).decode(), id="7") + b"\n",
            as_json(v=1, digests={"spki_sha256": "00" * 32}, name=NAME.text) + b"\n\n",
        ],
    ),
    "form-fields": Target(form_fields, lambda: [urlencode({"username": NAME.text, "key": "a+/="}).encode()]),
    "rabbitmq-form": Target(
        read_rabbit,
        lambda: [
            urlencode(
                {
                    "username": NAME.text,
                    "vhost": "/",
                    "resource": "topic",
                    "name": "amq.topic",
                    "permission": "write",
                    "routing_key": f"devices.{NAME}.x",
                }
            ).encode()
        ],
    ),
    "emqx-login": Target(
        EmqxLogin.from_wire, lambda: [as_json(username=NAME.text, clientid="c", certificate=b64encode(leaf()).decode())]
    ),
    "emqx-topic": Target(
        lambda octets: EmqxTopic.from_wire(octets).is_granted(GRANTS),
        lambda: [as_json(username=NAME.text, clientid="c", topic=f"devices/{NAME}/x", action="publish")],
    ),
    "freeradius-rest": Target(FreeRadiusAsked.from_wire, lambda: [radius()]),
    "ssh-key": Target(read_key, lambda: [SshKey.from_spki(Credential.generate(NAME, now=NOW).spki).to_text().encode()]),
    "ssh-host": Target(read_host, lambda: [b"host.cars.example", b"[host.cars.example]:2222"]),
    "ssh-account": Target(lambda octets: account_of(text(octets)), lambda: [b"deploy"]),
    "trusted-certificate": Target(
        lambda octets: (why_not_trusted(octets, NAME), subject_hash(octets)), lambda: [leaf()]
    ),
    "envoy-check": Target(read_check, lambda: [check()]),
}
