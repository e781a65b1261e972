"""Publishing to a primary that fails, lies, or is somebody else: nothing counts as done that is not proved, whatever is
not proved is sent again, and good names go through beside bad ones."""

import base64
import time
from contextlib import closing
from pathlib import Path

import dns.message
import dns.rcode
import dns.tsig
import pytest

from adversary.hostile_primary import Reply, Request, hostile_primary
from dnsbound.dns.tsig import FUDGE, TsigKey
from dnsbound.limits import PUBLISH_ATTEMPTS
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publish.endpoint import Endpoint
from dnsbound.provision.publish.publisher import Change, Outcome, OutcomeKind, ServerRefused, ServerUnclear
from dnsbound.provision.publish.rfc2136 import Rfc2136Publisher
from dnsbound.provision.publish.targets import Rfc2136Target

ZONE = "cars.example"
KEY = TsigKey.parse(f"hmac-sha256:upd:{base64.b64encode(b'k' * 32).decode()}")
OTHER = dns.tsig.Key("upd.", b"x" * 32, "hmac-sha256")
ATTEMPTS = PUBLISH_ATTEMPTS.default


def data(number: int) -> str:
    return f"3 1 1 {number + 1:064x}"


def changes(count: int) -> list[Change]:
    return [
        Change(owner=OwnerName.parse(f"car{number}.{ZONE}"), rdtype="TLSA", after=(data(number),), ttl=60)
        for number in range(count)
    ]


def held(count: int) -> set[tuple[str, str]]:
    return {(f"car{number}.{ZONE}", data(number)) for number in range(count)}


def publisher(address: str, *, batch: int = 10) -> Rfc2136Publisher:
    target = Rfc2136Target(
        zone=OwnerName.parse(ZONE),
        server=Endpoint.parse(address),
        key_file=Path("unused"),
        batch=batch,
        in_flight=2,
        seconds=1,
    )
    return Rfc2136Publisher(target, KEY)


def outcomes(address: str, count: int, *, batch: int = 10) -> list[Outcome]:
    return list(publisher(address, batch=batch).apply(changes(count)))


def kinds(found: list[Outcome]) -> set[OutcomeKind]:
    return {one.kind for one in found}


def foreign(request: Request) -> bytes:
    answer = request.answer()
    answer.keyring = OTHER
    return answer.to_wire()


def wrong_id(request: Request) -> bytes:
    wire = request.done()
    return bytes((wire[0] ^ 0xFF,)) + wire[1:]


def trickles(request: Request) -> bytes | None:
    """An octet now and then keeps the connection busy and says nothing."""
    request.connection.sendall(b"\x00\x40")
    for _ in range(8):
        time.sleep(0.3)
        request.connection.sendall(b"\x00")
    return None


NEVER_PROVED: dict[str, Reply] = {
    "servfail": lambda request: request.signed(dns.rcode.SERVFAIL),
    "unsigned yes": lambda request: request.unsigned(),
    "yes of a stranger": foreign,
    "wrong id": wrong_id,
    "closes": lambda _: None,
    "no message": lambda _: b"\x00" * 5,
    "random octets": lambda _: bytes(range(200)),
    "the query itself": lambda request: request.message.to_wire(),
    "a code nobody has assigned": lambda request: request.signed(14),
    "trickles": trickles,
}


@pytest.mark.parametrize("reply", NEVER_PROVED.values(), ids=NEVER_PROVED)
def test_what_is_not_proved_is_undecided_and_the_rest_is_not_tried(reply: Reply) -> None:
    with hostile_primary(KEY, reply) as (primary, address):
        found = outcomes(address, 200)
    assert kinds(found) == {OutcomeKind.UNDECIDED}
    assert len(found) < 200, "what nobody took is not told of"
    assert all(one.line and "\n" not in one.line for one in found)
    assert primary.updates <= 3 * ATTEMPTS


def test_a_server_that_recovers_loses_nothing() -> None:
    def reply(request: Request) -> bytes | None:
        return [request.unsigned, lambda: None, lambda: request.signed(dns.rcode.SERVFAIL), request.done][
            min(request.number, 3)
        ]()

    with hostile_primary(KEY, reply) as (primary, address):
        found = outcomes(address, 95)
    assert kinds(found) == {OutcomeKind.DONE}
    assert len(found) == 95
    assert primary.held == held(95)


def test_it_does_the_half_and_dies() -> None:
    """What was done without a word is done again, which changes nothing."""

    def reply(request: Request) -> bytes | None:
        octets = request.done()
        return octets if request.number >= 2 else None

    with hostile_primary(KEY, reply) as (primary, address):
        found = outcomes(address, 40)
    assert (kinds(found), len(found)) == ({OutcomeKind.DONE}, 40)
    assert primary.held == held(40)


def test_an_answer_cut_short_is_none() -> None:
    def reply(request: Request) -> bytes | None:
        octets = request.done()
        if request.number:
            return octets
        request.connection.sendall(len(octets).to_bytes(2, "big") + octets[:20])
        return None

    with hostile_primary(KEY, reply) as (primary, address):
        assert kinds(outcomes(address, 10)) == {OutcomeKind.DONE}
    assert primary.held == held(10)


@pytest.mark.parametrize("rcode", [dns.rcode.REFUSED, dns.rcode.NOTZONE, dns.rcode.FORMERR, dns.rcode.YXRRSET])
def test_one_bad_name_is_found_among_good_ones(rcode: int) -> None:
    bad = {7, 23, 24, 61}

    def reply(request: Request) -> bytes:
        names = {rrset.name.to_text() for rrset in request.message.update}
        return request.signed(rcode) if names & {f"car{number}.{ZONE}." for number in bad} else request.done()

    with hostile_primary(KEY, reply) as (primary, address):
        found = outcomes(address, 100, batch=50)
    refused = {one.change.owner.text for one in found if one.kind is OutcomeKind.REFUSED}
    assert refused == {f"car{number}.{ZONE}" for number in bad}
    assert len(found) == 100
    assert primary.held == held(100) - {(f"car{number}.{ZONE}", data(number)) for number in bad}


@pytest.mark.parametrize("rcode", [dns.rcode.NOTAUTH, dns.rcode.NOTIMP])
@pytest.mark.parametrize("signed", [True, False])
def test_a_server_that_is_the_wrong_one_is_not_asked_again(rcode: int, signed: bool) -> None:
    def reply(request: Request) -> bytes:
        return request.signed(rcode) if signed else request.unsigned(rcode)

    with hostile_primary(KEY, reply) as (primary, address):
        found = outcomes(address, 200)
    assert kinds(found) == {OutcomeKind.REFUSED}
    assert primary.updates <= 2
    assert len(found) <= 20


def test_a_key_without_any_right_is_told_before_everything_was_tried() -> None:
    with hostile_primary(KEY, lambda request: request.signed(dns.rcode.REFUSED)) as (primary, address):
        found = outcomes(address, 1000, batch=100)
    assert kinds(found) == {OutcomeKind.REFUSED}
    assert len(found) <= 200
    assert primary.updates < 450


@pytest.mark.parametrize("step", [FUDGE * 3.0, FUDGE * -3.0])
def test_a_clock_that_jumps_while_the_answer_is_on_its_way(step: float) -> None:
    with hostile_primary(KEY, lambda request: request.done()) as (primary, address):
        made = publisher(address)
        steps = iter([0.0, step])
        made._clock = lambda: time.time() + next(steps, 0.0)
        found = list(made.apply(changes(5)))
    assert kinds(found) == {OutcomeKind.DONE}, "it was sent again"
    assert primary.updates == 2
    assert primary.held == held(5)


def test_the_same_answers_when_it_is_asked() -> None:
    owners = [change.owner for change in changes(5)]
    for reply, error in (
        (lambda request: request.unsigned(), ServerUnclear),
        (lambda request: request.signed(), ServerRefused),  # not authoritative
        (lambda request: request.signed(dns.rcode.REFUSED), ServerRefused),
        (lambda request: request.signed(dns.rcode.SERVFAIL), ServerUnclear),
        (lambda _: None, ServerUnclear),
        (lambda _: b"\x00" * 5, ServerUnclear),
    ):
        with (
            hostile_primary(KEY, reply) as (_, address),
            closing(publisher(address)) as made,
            pytest.raises(error),
        ):
            list(made.read(owners))
