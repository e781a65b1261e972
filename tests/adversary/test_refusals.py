"""All refusals look alike from outside; and what an `optional` door does with those who claim nothing.

draft-ietf-dance-client-auth-13 sections 8.2 and 12.
"""

import time
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from adversary.door import GREETING, Door, open_door
from adversary.hostile_client import CERTIFICATE_REQUEST, Entry, HostileClient, Session, client_name, extension
from dnsbound import Credential, Reason
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.iana import DANE_CLIENTID
from dnsbound.testing import Fault, World
from dnsbound.tls.flags import DEFAULT_SIGNAL
from dnsbound.verify.decision import Verdict
from machines.native_pairs import make_identity

CAR54, CAR55 = "car54._device.cars.example", "car55._device.cars.example"
FATAL, UNEXPECTED_MESSAGE, HANDSHAKE_FAILURE = 2, 10, 40
SIGNAL = extension(DEFAULT_SIGNAL.extension_type, DEFAULT_SIGNAL.to_wire())
"""So that an `optional` door asks."""


def clientid(name: str) -> bytes:
    return extension(DANE_CLIENTID, client_name(name.encode()))


def log_in(door: Door, credential: Credential, name: str | None) -> HostileClient:
    """An honest flight of this credential under this name, data included, then read to the end."""
    key = credential.private_key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    first, *rest = credential.chain
    entries = [Entry(first, b"" if name is None else clientid(name)), *map(Entry, rest)]
    client = HostileClient(extra_extensions=SIGNAL)
    with Session(door.address, client) as session:
        session.handshake()
        session.send(client.certificate(entries), client.certificate_verify(key), client.finished())
        session.send(client.data(b"report"))
        session.until_closed()
    return client


def stranger(door: Door) -> tuple[Credential, str]:
    return Credential.generate("car99._device.cars.example", now=time.time()), "car99._device.cars.example"


def nothing_published(door: Door) -> tuple[Credential, str]:
    return Credential.generate(CAR55, now=time.time()), CAR55


def anothers_key(door: Door) -> tuple[Credential, str]:
    door.cars.device("car55")
    return door.car.credential, CAR55


def neighbours_certificate(door: Door) -> tuple[Credential, str]:
    authority = CertificateAuthority.create("Cars", now=time.time())
    door.cars.publish(CAR55, authority.tlsa())
    return authority.issue(CAR54, now=time.time()), CAR55


def expired_certificate(door: Door) -> tuple[Credential, str]:
    authority = CertificateAuthority.create("Cars", now=time.time())
    door.cars.publish(CAR55, authority.tlsa())
    return authority.issue(CAR55, now=time.time() - 1000, lifetime=10), CAR55


def unsigned_zone(door: Door) -> tuple[Credential, str]:
    credential = Credential.generate(CAR55, now=time.time())
    door.world.organisation("plain.example", signed=False).publish("car55", credential.tlsa())
    door.cars.cname(CAR55, "car55.plain.example")
    return credential, CAR55


def forged_answer(door: Door) -> tuple[Credential, str]:
    door.world.fault(CAR54, Fault.BOGUS)
    return door.car.credential, CAR54


def silent_dns(door: Door) -> tuple[Credential, str]:
    door.world.fault(CAR54, Fault.DEAD)
    return door.car.credential, CAR54


REFUSED: dict[Reason, Callable[[Door], tuple[Credential, str]]] = {
    Reason.NOT_PERMITTED: stranger,
    Reason.NO_TLSA: nothing_published,
    Reason.TLSA_MISMATCH: anothers_key,
    Reason.NAME_NOT_IN_CERTIFICATE: neighbours_certificate,
    Reason.CHAIN_INVALID: expired_certificate,
    Reason.INSECURE: unsigned_zone,
    Reason.BOGUS: forged_answer,
    Reason.DNS_FAILED: silent_dns,
}


@pytest.mark.parametrize("policy", ["required", "optional"])
@pytest.mark.parametrize("reason", REFUSED)
def test_every_refused_claim_looks_the_same_from_outside(world: World, reason: Reason, policy: str) -> None:
    with open_door(world, policy=policy, deadline=1.0, ticket_lifetime=600) as door:
        credential, name = REFUSED[reason](door)
        client = log_in(door, credential, name)
        assert client.alerts == [(FATAL, HANDSHAKE_FAILURE)]
        assert (client.application_data, client.tickets, door.delivered) == (b"", 0, [])
        decision = door.decision()
        assert (decision.reason, decision.name) == (reason, name)


def test_who_is_let_in_at_such_a_door_gets_a_ticket(world: World) -> None:
    """Else the refusals above would prove nothing about tickets."""
    with open_door(world, ticket_lifetime=600) as door:
        client = log_in(door, door.car.credential, CAR54)
        assert (client.alerts[-1:], client.tickets, client.application_data) == ([(1, 0)], 1, GREETING)


def test_who_claims_nothing_is_let_in_unauthenticated_and_causes_no_lookup(world: World) -> None:
    with open_door(world, policy="optional", ticket_lifetime=600) as door:
        nameless = make_identity("nobody", san=())
        client = log_in(door, Credential(None, nameless.key, nameless.chain), None)  # type: ignore[arg-type]
        assert (client.application_data, door.delivered) == (GREETING, [b"report"])
        empty, silent = HostileClient(extra_extensions=SIGNAL), HostileClient()
        with Session(door.address, empty) as session:
            session.handshake()
            session.send(empty.certificate([]), empty.finished(), empty.data(b"hello"))
            session.until_closed()
        with Session(door.address, silent) as session:
            session.handshake()
            assert CERTIFICATE_REQUEST not in silent.handshake
            session.send(silent.finished(), silent.data(b"good day"))
            session.until_closed()
        assert (empty.application_data, silent.application_data) == (GREETING, GREETING)
        assert door.delivered == [b"report", b"hello", b"good day"]
        assert (door.lookups(), client.tickets, empty.tickets, silent.tickets) == ([], 0, 0, 0)
        assert door.no_decision_is_waiting()


def test_at_a_door_that_requires_a_claim_the_same_clients_stay_outside(world: World) -> None:
    with open_door(world, policy="required") as door:
        nameless = make_identity("nobody", san=())
        client = log_in(door, Credential(None, nameless.key, nameless.chain), None)  # type: ignore[arg-type]
        assert client.alerts == [(FATAL, HANDSHAKE_FAILURE)]
        decision = door.decision()
        assert (decision.reason, decision.verdict) == (Reason.NO_NAME, Verdict.REFUSED)
        assert (client.application_data, door.delivered, door.lookups()) == (b"", [], [])


def test_an_empty_name_is_a_violation_not_the_lack_of_a_claim(world: World) -> None:
    with open_door(world, policy="optional") as door:
        client = log_in(door, door.car.credential, "")
        assert client.alerts == [(FATAL, HANDSHAKE_FAILURE)]
        assert door.decision().reason is Reason.EMPTY_NAME
        assert (client.application_data, door.delivered, door.lookups()) == (b"", [], [])


def test_a_certificate_nobody_asked_for_is_no_claim_and_ends_the_handshake(world: World) -> None:
    """At an `optional` door a client that did not signal has nothing to say in that place."""
    with open_door(world, policy="optional") as door:
        client = HostileClient()
        with Session(door.address, client) as session:
            session.handshake()
            assert CERTIFICATE_REQUEST not in client.handshake
            session.send(client.certificate([Entry(door.car.credential.chain[0], clientid(CAR54))]))
            assert session.until_closed() == [(FATAL, UNEXPECTED_MESSAGE)]
        assert (client.application_data, door.delivered, door.lookups()) == (b"", [], [])
