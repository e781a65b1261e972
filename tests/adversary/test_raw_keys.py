"""A raw public key that nobody checked never opens a connection, whichever way the connection is made.

Others' libraries had it wrong: a side that asks for a raw key, gets one, and goes on though nothing vouched for it
(CVE-2024-12797). Here each public way is walked, as server and as client, with keys that are somebody else's, not
possessed, not asked for, or no keys at all; and each with the right key too, so that a refusal says something.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adversary.hostile_client import Entry, HostileClient, Session, client_name, extension
from adversary.hostile_client_12 import HostileClient12
from adversary.hostile_datagrams import DatagramSession, HostileDatagramClient
from adversary.raw_key_doors import DATAGRAM_WAYS, GREETING, SHUT, WAYS, Served
from dnsbound import Reason
from dnsbound.iana import DANE_CLIENTID
from dnsbound.testing import Device, World
from machines.doors import SERVER, Door, car, door

FATAL = 2
UNEXPECTED_MESSAGE, HANDSHAKE_FAILURE, BAD_CERTIFICATE, DECODE_ERROR, DECRYPT_ERROR = 10, 40, 42, 50, 51
ILLEGAL_PARAMETER = 47


def fresh_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@dataclass
class Attempt:
    """A device whose key is published, and what somebody shows in its place."""

    device: Device
    key: ec.EllipticCurvePrivateKey = field(default_factory=fresh_key)
    """The one the client really has."""
    raw: bool = True
    """What is agreed on in the hellos."""

    @property
    def published(self) -> bytes:
        own = self.device.credential.private_key
        assert isinstance(own, ec.EllipticCurvePrivateKey)
        return spki(own)

    def entry(self, data: bytes, *, name: str | None = "") -> Entry:
        text = str(self.device.name) if name == "" else name
        return Entry(data, b"" if text is None else extension(DANE_CLIENTID, client_name(text.encode())))


Shown = Callable[[Attempt], list[Entry]]

REFUSED: dict[str, tuple[Shown, Reason]] = {
    "another key under the name": (lambda one: [one.entry(spki(one.key))], Reason.TLSA_MISMATCH),
    "another key without a name": (lambda one: [one.entry(spki(one.key), name=None)], Reason.NO_NAME),
    "another key under a name that nobody let in": (
        lambda one: [one.entry(spki(one.key), name="car54._device.strangers.example")],
        Reason.NOT_PERMITTED,
    ),
    "another key under a name that is not published": (
        lambda one: [one.entry(spki(one.key), name="nobody._device.cars.example")],
        Reason.NO_TLSA,
    ),
}
"""Possession is proved, and the verdict is no."""

BROKEN: dict[str, tuple[Shown, set[int]]] = {
    "the name's key, not possessed": (lambda one: [one.entry(one.published)], {DECRYPT_ERROR}),
    "an octet behind the key": (lambda one: [one.entry(spki(one.key) + b"!")], {DECODE_ERROR, BAD_CERTIFICATE}),
    "a key cut short": (lambda one: [one.entry(spki(one.key)[:-1])], {DECODE_ERROR, BAD_CERTIFICATE}),
    "two keys": (
        lambda one: [one.entry(spki(one.key)), one.entry(one.published, name=None)],
        {DECODE_ERROR, BAD_CERTIFICATE, ILLEGAL_PARAMETER, UNEXPECTED_MESSAGE},
    ),
    "the name's key behind one's own": (
        lambda one: [one.entry(spki(one.key) + one.published)],
        {DECODE_ERROR, BAD_CERTIFICATE},
    ),
    "a certificate where a key was agreed": (
        lambda one: [one.entry(one.device.credential.chain[0])],
        {DECODE_ERROR, BAD_CERTIFICATE},
    ),
}
"""TLS itself ends it: there is no claim, no verdict and no lookup."""


def attempt(port: int, one: Attempt, entries: list[Entry], *, signs: bool = True) -> HostileClient:
    """The whole flight with data behind it, then everything the server has to say."""
    client = HostileClient(server_name=SERVER, raw_public_key=one.raw)
    with Session(("127.0.0.1", port), client) as session:
        session.send(client.client_hello())
        while not client.complete and not client.closed:
            session.receive()
        if client.closed:
            return client
        flight = [client.certificate(entries)]
        if signs:
            flight.append(client.certificate_verify(one.key))
        session.send(*flight, client.finished(), client.data(b"report"))
        session.until_closed()
    return client


def nothing_came_of_it(client: HostileClient, at: Door, served: Served, *, lookups: list[str]) -> None:
    assert (client.application_data, served) == (b"", [])
    assert [query.name for query in at.world.queries if query.rdtype == "TLSA"] == lookups


@pytest.mark.parametrize("way", WAYS)
def test_the_right_key_comes_in(way: str, world: World) -> None:
    """The control: without it every refusal below could be for another reason."""
    device, at, served = car(world), door(world), Served()
    own = device.credential.private_key
    assert isinstance(own, ec.EllipticCurvePrivateKey)
    one = Attempt(device, own)
    with WAYS[way](at, served) as port:
        client = attempt(port, one, [one.entry(spki(own))])
    assert client.application_data == GREETING
    assert served == [(str(device.name), b"report")]
    assert at.reasons == ["admitted"]


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("way", WAYS)
def test_a_key_nobody_vouches_for_is_refused(way: str, case: str, world: World) -> None:
    shown, reason = REFUSED[case]
    at, served = door(world), Served()
    one = Attempt(car(world))
    with WAYS[way](at, served) as port:
        client = attempt(port, one, shown(one))
    assert client.alerts == [(FATAL, HANDSHAKE_FAILURE)]
    assert at.reasons == [reason]
    asked = {Reason.TLSA_MISMATCH: [str(one.device.name)], Reason.NO_TLSA: ["nobody._device.cars.example"]}
    nothing_came_of_it(client, at, served, lookups=asked.get(reason, []))


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("way", WAYS)
def test_what_is_no_proved_key_is_no_claim(way: str, case: str, world: World) -> None:
    shown, alerts = BROKEN[case]
    at, served = door(world), Served()
    one = Attempt(car(world))
    with WAYS[way](at, served) as port:
        client = attempt(port, one, shown(one))
    assert len(client.alerts) == 1
    assert client.alerts[0][1] in alerts
    assert at.decisions == []
    nothing_came_of_it(client, at, served, lookups=[])


@pytest.mark.parametrize("way", WAYS)
def test_a_key_without_a_signature(way: str, world: World) -> None:
    at, served = door(world), Served()
    one = Attempt(car(world))
    with WAYS[way](at, served) as port:
        client = attempt(port, one, [one.entry(one.published)], signs=False)
    assert client.alerts == [(FATAL, UNEXPECTED_MESSAGE)]
    assert at.decisions == []
    nothing_came_of_it(client, at, served, lookups=[])


@pytest.mark.parametrize("way", WAYS)
def test_a_key_where_a_certificate_was_agreed(way: str, world: World) -> None:
    """The types are not what the octets look like, but what the hellos say."""
    at, served = door(world), Served()
    one = Attempt(car(world), raw=False)
    with WAYS[way](at, served) as port:
        client = attempt(port, one, [one.entry(one.published)])
    assert len(client.alerts) == 1
    assert client.alerts[0][1] in {DECODE_ERROR, BAD_CERTIFICATE}
    assert at.decisions == []
    nothing_came_of_it(client, at, served, lookups=[])


@pytest.mark.parametrize("way", SHUT)
def test_where_nobody_waits_for_the_verdict_nobody_comes_in(way: str, world: World) -> None:
    """Not even the right key: what cannot be judged is not open."""
    device, at, served = car(world), door(world), Served()
    own = device.credential.private_key
    assert isinstance(own, ec.EllipticCurvePrivateKey)
    one = Attempt(device, own)
    with SHUT[way](at, served) as port:
        client = attempt(port, one, [one.entry(spki(own))])
    nothing_came_of_it(client, at, served, lookups=[])


@pytest.mark.parametrize("way", WAYS)
def test_an_optional_door_calls_an_unnamed_key_nobody(way: str, world: World) -> None:
    """It claims nothing, so it may come in as one who showed no key: never as a peer."""
    at, served = door(world, policy="optional", ask="always"), Served()
    one = Attempt(car(world))
    with WAYS[way](at, served) as port:
        client = attempt(port, one, [one.entry(spki(one.key), name=None)])
        assert client.application_data == GREETING
        assert served == [(None, b"report")]
        served.clear()
        client = attempt(port, one, [one.entry(spki(one.key))])
    assert client.alerts == [(FATAL, HANDSHAKE_FAILURE)], "one that claims a name must be that name"
    assert at.reasons == [Reason.TLSA_MISMATCH]
    nothing_came_of_it(client, at, served, lookups=[str(one.device.name)])


def test_a_certificates_name_is_no_name_of_a_raw_key(world: World) -> None:
    """`claim_from` SAN alone: a raw key shows no SAN, whatever the client has said elsewhere."""
    at, served = door(world, claim_from=["san"]), Served()
    one = Attempt(car(world))
    with WAYS["start_server"](at, served) as port:
        client = attempt(port, one, [one.entry(spki(one.key), name=None)])
    assert client.alerts == [(FATAL, HANDSHAKE_FAILURE)]
    assert at.reasons == [Reason.NO_NAME]
    nothing_came_of_it(client, at, served, lookups=[])


def test_a_door_that_takes_certificates_only(world: World) -> None:
    """It does not answer the client's offer, so what comes is read as a certificate."""
    at, served = door(world, raw_public_keys=False), Served()
    one = Attempt(car(world))
    with WAYS["start_server"](at, served) as port:
        client = attempt(port, one, [one.entry(one.published)])
    assert client.alerts[0][1] in {DECODE_ERROR, BAD_CERTIFICATE}
    assert at.decisions == []
    nothing_came_of_it(client, at, served, lookups=[])


# --- TLS 1.2, where the server's last flight waits as well


def attempt_12(port: int, one: Attempt, shown: bytes, *, name: str | None, signs: bool = True) -> HostileClient12:
    claim = b"" if name is None else extension(DANE_CLIENTID, client_name(name.encode()))
    client = HostileClient12(server_name=SERVER, raw_public_key=True, extra_extensions=claim)
    with Session(("127.0.0.1", port), client) as session:
        session.handshake()
        flight = [client.raw_key(shown), client.client_key_exchange()]
        if signs:
            flight.append(client.certificate_verify(one.key))
        session.send(*flight, client.change_cipher_spec(), client.finished(), client.data(b"report"))
        session.until_closed()
    return client


@pytest.mark.parametrize("way", WAYS)
def test_the_right_key_comes_in_over_tls_1_2(way: str, world: World) -> None:
    device, at, served = car(world), door(world, profiles=["cid07"]), Served()
    own = device.credential.private_key
    assert isinstance(own, ec.EllipticCurvePrivateKey)
    with WAYS[way](at, served) as port:
        client = attempt_12(port, Attempt(device, own), spki(own), name=str(device.name))
    assert client.server_finished
    assert client.application_data == GREETING
    assert served == [(str(device.name), b"report")]
    assert at.reasons == ["admitted"]


@pytest.mark.parametrize("case", ["another", "unnamed", "not possessed", "not signed"])
@pytest.mark.parametrize("way", WAYS)
def test_no_other_key_comes_in_over_tls_1_2(way: str, case: str, world: World) -> None:
    """None of them ever sees the server's Finished."""
    at, served = door(world, profiles=["cid07"]), Served()
    one = Attempt(car(world))
    name = str(one.device.name)
    with WAYS[way](at, served) as port:
        if case == "another":
            client = attempt_12(port, one, spki(one.key), name=name)
        elif case == "unnamed":
            client = attempt_12(port, one, spki(one.key), name=None)
        else:
            client = attempt_12(port, one, one.published, name=name, signs=case == "not possessed")
    alert, reasons = {
        "another": (HANDSHAKE_FAILURE, [Reason.TLSA_MISMATCH]),
        "unnamed": (HANDSHAKE_FAILURE, [Reason.NO_NAME]),
        "not possessed": (DECRYPT_ERROR, []),
        "not signed": (UNEXPECTED_MESSAGE, []),
    }[case]
    assert client.alerts == [(FATAL, alert)]
    assert (client.server_finished, client.application_data, served) == (False, b"", [])
    assert at.reasons == reasons
    lookups = [query.name for query in world.queries if query.rdtype == "TLSA"]
    assert lookups == ([name] if case == "another" else [])


@pytest.mark.parametrize("way", SHUT)
def test_where_nobody_waits_for_the_verdict_nobody_comes_in_over_tls_1_2(way: str, world: World) -> None:
    device, at, served = car(world), door(world, profiles=["cid07"]), Served()
    own = device.credential.private_key
    assert isinstance(own, ec.EllipticCurvePrivateKey)
    claim = extension(DANE_CLIENTID, client_name(str(device.name).encode()))
    client = HostileClient12(server_name=SERVER, raw_public_key=True, extra_extensions=claim)
    with SHUT[way](at, served) as port, Session(("127.0.0.1", port), client) as session:
        session.send(client.client_hello())
        while not client.complete and not client.closed:
            session.receive()
        if not client.closed:
            session.send(client.raw_key(spki(own)), client.client_key_exchange(), client.certificate_verify(own))
            session.send(client.change_cipher_spec(), client.finished(), client.data(b"report"))
            session.until_closed()
    assert (client.server_finished, client.application_data, served) == (False, b"", [])


# --- DTLS


def attempt_datagrams(
    address: tuple[str, int], one: Attempt, shown: bytes, *, name: str | None, signs: bool = True
) -> HostileDatagramClient:
    claim = b"" if name is None else extension(DANE_CLIENTID, client_name(name.encode()))
    client = HostileDatagramClient(server_name=SERVER, raw_public_key=True, extra_extensions=claim)
    with DatagramSession(address, client, patience=1.0) as session:
        session.greet()
        flight = [client.raw_key(shown), client.client_key_exchange()]
        if signs:
            flight.append(client.certificate_verify(one.key))
        session.send(*flight, client.change_cipher_spec(), client.finished(), client.data(b"early"))
        while not client.application_data and not client.alerts and session.receive() is not None:
            pass
        if client.application_data:
            session.send(client.data(b"report"))
            session.receive()
    return client


@pytest.mark.parametrize("way", DATAGRAM_WAYS)
def test_the_right_key_comes_in_over_datagrams(way: str, world: World) -> None:
    device, at, served = car(world), door(world, datagram=True), Served()
    own = device.credential.private_key
    assert isinstance(own, ec.EllipticCurvePrivateKey)
    with DATAGRAM_WAYS[way](at, served) as address:
        client = attempt_datagrams(address, Attempt(device, own), spki(own), name=str(device.name))
    assert client.application_data == GREETING
    assert served == [(str(device.name), b"report")], "what came before the verdict was dropped"
    assert at.reasons == ["admitted"]


@pytest.mark.parametrize("case", ["another", "unnamed", "not possessed", "not signed"])
@pytest.mark.parametrize("way", DATAGRAM_WAYS)
def test_no_other_key_comes_in_over_datagrams(way: str, case: str, world: World) -> None:
    at, served = door(world, datagram=True), Served()
    one = Attempt(car(world))
    name = str(one.device.name)
    with DATAGRAM_WAYS[way](at, served) as address:
        client = attempt_datagrams(
            address,
            one,
            spki(one.key) if case in {"another", "unnamed"} else one.published,
            name=None if case == "unnamed" else name,
            signs=case != "not signed",
        )
    alerts, reasons = {
        "another": ([(FATAL, HANDSHAKE_FAILURE)], [Reason.TLSA_MISMATCH]),
        "unnamed": ([(FATAL, HANDSHAKE_FAILURE)], [Reason.NO_NAME]),
        "not possessed": ([(FATAL, DECRYPT_ERROR)], []),
        "not signed": ([], []),  # a signature may be lost: it is waited for
    }[case]
    assert client.alerts == alerts
    assert (client.server_finished, client.application_data, served) == (False, b"", [])
    assert at.reasons == reasons
    lookups = [query.name for query in world.queries if query.rdtype == "TLSA"]
    assert lookups == ([name] if case == "another" else [])
