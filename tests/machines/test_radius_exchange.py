"""What the RADIUS service does with requests as such: repetitions, States, secrets, ports, what it never answers."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.edge.radius_audit import AccessVerdict
from dnsbound.edge.radius_clients import RadiusTransport
from dnsbound.edge.radius_counters import Dropped
from dnsbound.iana import AcctStatusType, EapCode, RadiusAttribute, RadiusCode
from dnsbound.protocols.eap import EapPacket
from dnsbound.protocols.eap_peer import PeerReply
from dnsbound.protocols.radius import Discard, read_answer, request_of
from dnsbound.protocols.radius_accounting import AccountingEvent
from dnsbound.testing.faults import Fault
from dnsbound.testing.world import World
from interop.radius_examples import SERVER_NAME
from interop.radius_server import SECRET, write
from machines.radius_pairs import ASK, STAFF, Served, served, supplicant, value

pytestmark = pytest.mark.timeout(60)
SECRETS = SECRET.encode()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as made:
        made.organisation("cars.example")
        yield made


@pytest.fixture(scope="module")
def car(world):
    return world.organisation("cars.example").device("car54")


@pytest.fixture
def site(tmp_path: Path, world: World) -> Iterator[Served]:
    with served(tmp_path, world) as made:
        yield made


def identity_response(identity: bytes = b"@cars.example", identifier: int = 0) -> bytes:
    return EapPacket.response(identifier, 1, identity).to_wire()


def answered(site: Served, octets: bytes, **origin) -> bytes | None:
    return asyncio.run(site.service.answer(octets, site.origin(**origin)))


# --- repetitions


def test_a_repeated_request_gets_the_same_octets_and_begins_nothing(site):
    octets = site.nas().request(identity_response())
    first = answered(site, octets)
    assert first is not None
    assert answered(site, octets) == first
    assert (site.service.counters.duplicates, len(site.service._conversations)) == (1, 1)
    assert answered(site, octets, port=40_001) != first, "another source has identifiers of its own"


def test_a_request_that_is_worked_on_is_answered_once(site, world):
    """The DNS is slow: the NAS repeats, and then sends something new about the same conversation."""
    slow = world.organisation("cars.example").device("car70")
    world.fault(slow.name.text, Fault.SLOW, seconds=0.5)

    async def run() -> None:
        nas = site.nas()
        ended = await nas.authenticate(supplicant(world, slow.credential, version="TLSv1.2"), stop_after=2)
        peer = supplicant(world, slow.credential, version="TLSv1.2")
        nas.state = None
        heard = peer.receive(ASK)
        for _ in range(2):
            answer = await nas.send(heard.eap)
            heard = peer.receive(answer.eap_message)
        assert isinstance(heard, PeerReply)
        last = nas.request(heard.eap)
        working = asyncio.ensure_future(site.service.answer(last, nas.origin))
        await asyncio.sleep(0)
        assert site.service.respond(last, nas.origin) is None
        assert site.service.respond(nas.request(heard.eap), nas.origin) is None
        answer = read_answer(await working, last, nas.secret)
        assert answer.code is RadiusCode.ACCESS_CHALLENGE
        assert ended.code is RadiusCode.ACCESS_CHALLENGE

    try:
        asyncio.run(run())
    finally:
        world.heal()
    assert site.service.counters.duplicates == 1
    assert site.dropped == {Dropped.IN_PROGRESS.value: 1}


def test_an_eap_response_repeated_in_a_new_request_gets_the_outstanding_request_again(site, world, car):
    """An access point that lost our answer may ask with a new RADIUS identifier."""

    async def run() -> None:
        nas, peer = site.nas(), supplicant(world, car.credential)
        answer = await nas.send(peer.receive(ASK).eap)
        hello = peer.receive(answer.eap_message).eap
        first = await nas.send(hello)
        again = await nas.send(hello)
        assert again.eap_message == first.eap_message
        assert again.first(RadiusAttribute.STATE) == first.first(RadiusAttribute.STATE)

    asyncio.run(run())


# --- State


def test_a_state_nobody_gave_out_is_rejected(site):
    nas = site.nas()
    nas.state = bytes(16)
    answer = asyncio.run(nas.send(identity_response(identifier=9)))
    assert answer.code is RadiusCode.ACCESS_REJECT
    assert EapPacket.from_wire(answer.eap_message) == EapPacket(code=EapCode.FAILURE, identifier=9)


TWO = """
[client.nas]
address = ["127.0.0.0/8"]
secret_file = "nas.secret"
[client.other]
address = ["192.0.2.1"]
secret_file = "nas.secret"
"""


def test_a_state_of_another_client_is_rejected_and_the_conversation_goes_on(tmp_path, world, car):
    with served(tmp_path, world, clients=TWO) as site:

        async def run() -> None:
            nas, peer = site.nas(), supplicant(world, car.credential)
            answer = await nas.send(peer.receive(ASK).eap)
            hello = peer.receive(answer.eap_message).eap
            thief = site.nas(origin={"client": site.service.configuration.clients["other"], "address": "192.0.2.1"})
            thief.state = nas.state
            assert (await thief.send(hello)).code is RadiusCode.ACCESS_REJECT
            assert (await nas.send(hello)).code is RadiusCode.ACCESS_CHALLENGE

        asyncio.run(run())


@pytest.mark.parametrize("changed", ["user_name", "station", "called"])
def test_a_conversation_that_becomes_about_somebody_else_is_over(site, world, car, changed):
    async def run() -> None:
        nas, peer = site.nas(), supplicant(world, car.credential)
        answer = await nas.send(peer.receive(ASK).eap)
        hello = peer.receive(answer.eap_message).eap
        kept = nas.state
        setattr(nas, changed, STAFF if changed == "called" else b"02-00-00-00-00-66")
        assert (await nas.send(hello)).code is RadiusCode.ACCESS_REJECT
        assert len(site.service._conversations) == 0
        nas.state = kept
        assert (await nas.send(hello)).code is RadiusCode.ACCESS_REJECT

    asyncio.run(run())
    assert [event.verdict for event in site.events] == [AccessVerdict.FAILED]


def test_a_conversation_that_stops_is_told_as_abandoned(tmp_path, world, car):
    now = 0.0
    with served(tmp_path, world, settings="conversation_seconds = 30", monotonic=lambda: now) as site:
        asyncio.run(site.nas().authenticate(supplicant(world, car.credential), stop_after=2))
        now = 29.0
        site.service.tick()
        assert (site.events, site.service.counters.conversations) == ([], 1)
        now = 31.0
        site.service.tick()
        assert [event.verdict for event in site.events] == [AccessVerdict.ABANDONED]
        assert (site.service.counters.conversations, site.service.counters.expired) == (0, 1)


# --- what is no conversation


def test_eap_start_is_answered_with_a_question_and_nothing_is_kept(site):
    answer = asyncio.run(site.nas().send(b""))
    assert answer.code is RadiusCode.ACCESS_CHALLENGE
    assert EapPacket.from_wire(answer.eap_message).type == 1
    assert (answer.first(RadiusAttribute.STATE), len(site.service._conversations)) == (None, 0)


def test_a_request_without_eap_is_rejected(site):
    assert asyncio.run(site.nas().send(None)).code is RadiusCode.ACCESS_REJECT


@pytest.mark.parametrize("eap", [b"\x02", b"\x02\x00\x00\x09\x01", b"\x09\x00\x00\x04", bytes(4)])
def test_what_is_no_eap_is_dropped(site, eap):
    assert asyncio.run(site.nas().send(eap)) is None
    assert site.dropped == {Dropped.MALFORMED.value: 1}


def test_a_response_that_nobody_asked_for_is_rejected(site):
    answer = asyncio.run(site.nas().send(EapPacket.response(7, 13, b"\x00").to_wire()))
    assert answer.code is RadiusCode.ACCESS_REJECT


def test_an_address_of_the_wrong_length_is_dropped(site):
    nas = site.nas(more=((RadiusAttribute.NAS_IP_ADDRESS, b"\x7f"),))
    assert asyncio.run(nas.send(identity_response())) is None
    assert site.dropped == {Dropped.MALFORMED.value: 1}


def test_a_peer_that_speaks_another_method_is_told_failure(site):
    async def run() -> None:
        nas = site.nas()
        answer = await nas.send(identity_response())
        start = EapPacket.from_wire(answer.eap_message)
        nak = await nas.send(EapPacket.response(start.identifier, 3, b"\x19").to_wire())
        assert nak.code is RadiusCode.ACCESS_REJECT
        assert EapPacket.from_wire(nak.eap_message).code is EapCode.FAILURE

    asyncio.run(run())
    assert [event.verdict for event in site.events] == [AccessVerdict.FAILED]


# --- secrets


def test_a_wrong_secret_is_met_with_silence(site, caplog):
    octets = site.nas(secret=b"another secret altogether").request(identity_response())
    assert answered(site, octets) is None
    assert answered(site, octets[:-1]) is None
    assert site.dropped == {Discard.WRONG_MESSAGE_AUTHENTICATOR.value: 1, Dropped.MALFORMED.value: 1}
    assert caplog.text.count("such packets are dropped") == 1
    assert SECRET not in caplog.text


def test_an_old_secret_still_answers_with_itself_and_is_counted(tmp_path, world, car):
    with served(tmp_path, world) as site:
        write(tmp_path / "nas.secret", f"a new secret of this test\n{SECRET}\n")
        site.service.configure(site.service.configuration.load(tmp_path / "radius.toml"))
        assert asyncio.run(site.nas().authenticate(supplicant(world, car.credential))).code is RadiusCode.ACCESS_ACCEPT
        assert site.service.counters.old_secrets["nas"] > 0
        renewed = site.nas(secret=b"a new secret of this test")
        before = site.service.counters.old_secrets["nas"]
        ended = asyncio.run(renewed.authenticate(supplicant(world, car.credential)))
        assert (ended.code, site.service.counters.old_secrets["nas"]) == (RadiusCode.ACCESS_ACCEPT, before)


# --- ports and codes


@pytest.mark.parametrize(
    ("accounting", "code"), [(False, RadiusCode.ACCESS_ACCEPT), (True, RadiusCode.ACCOUNTING_RESPONSE)]
)
def test_status_server_is_answered_as_its_port_does(site, accounting, code):
    octets = site.nas().request(None, code=RadiusCode.STATUS_SERVER)
    answer = answered(site, octets, accounting=accounting)
    assert read_answer(answer, octets, SECRETS).code is code


def accounting_request(status: int = AcctStatusType.START) -> bytes:
    attributes = (
        (int(RadiusAttribute.ACCT_STATUS_TYPE), status.to_bytes(4, "big")),
        (int(RadiusAttribute.ACCT_SESSION_ID), b"0001"),
        (int(RadiusAttribute.USER_NAME), b"car54"),
    )
    return request_of(RadiusCode.ACCOUNTING_REQUEST, 1, attributes, SECRETS)


def test_accounting_belongs_to_its_port_and_access_to_the_other(site):
    assert answered(site, accounting_request()) is None
    assert answered(site, site.nas().request(identity_response()), accounting=True) is None
    assert answered(site, request_of(RadiusCode.DISCONNECT_REQUEST, 1, (), SECRETS)) is None
    assert site.dropped[Dropped.UNEXPECTED_CODE.value] == 3


def test_over_tls_one_connection_takes_everything(site):
    octets = request_of(RadiusCode.ACCOUNTING_REQUEST, 1, _attributes(), b"radsec")
    answer = answered(site, octets, transport=RadiusTransport.TLS)
    assert read_answer(answer, octets, b"radsec").code is RadiusCode.ACCOUNTING_RESPONSE


def _attributes():
    return (
        (int(RadiusAttribute.ACCT_STATUS_TYPE), (1).to_bytes(4, "big")),
        (int(RadiusAttribute.ACCT_SESSION_ID), b"0001"),
    )


class Recorder:
    def __init__(self, kept: bool) -> None:
        self.kept = kept
        self.events: list[AccountingEvent] = []

    async def record(self, event: AccountingEvent, _origin: object) -> bool:
        self.events.append(event)
        return self.kept


@pytest.mark.parametrize("kept", [True, False])
def test_accounting_is_acknowledged_when_it_is_kept_and_not_before(tmp_path, world, kept):
    """RFC 2866 section 2: a NAS without an answer tries again."""
    recorder = Recorder(kept)
    with served(tmp_path, world, recorder=recorder) as site:
        octets = accounting_request()
        answer = answered(site, octets, accounting=True)
        if kept:
            assert read_answer(answer, octets, SECRETS).code is RadiusCode.ACCOUNTING_RESPONSE
            assert answered(site, octets, accounting=True) == answer
            assert len(recorder.events) == 1
        else:
            assert answer is None
            assert site.dropped == {Dropped.NOT_RECORDED.value: 1}
            answered(site, octets, accounting=True)
            assert len(recorder.events) == 2
        assert recorder.events[0].session_id == b"0001"


def test_accounting_that_says_nothing_is_dropped(site):
    attributes = ((int(RadiusAttribute.ACCT_SESSION_ID), b"0001"),)
    octets = request_of(RadiusCode.ACCOUNTING_REQUEST, 1, attributes, SECRETS)
    assert answered(site, octets, accounting=True) is None
    assert site.dropped == {Dropped.MALFORMED.value: 1}


# --- fragments and slow keys


def test_our_fragments_fit_what_the_link_carries(site, world, car):
    mtu = ((RadiusAttribute.FRAMED_MTU, (300).to_bytes(4, "big")),)
    longest = 0

    async def run() -> None:
        nonlocal longest
        nas, peer = site.nas(more=mtu), supplicant(world, car.credential)
        heard = peer.receive(ASK)
        while isinstance(heard, PeerReply):
            answer = await nas.send(heard.eap)
            longest = max(longest, len(answer.eap_message))
            heard = peer.receive(answer.eap_message)

    asyncio.run(run())
    assert 200 < longest <= 300
    assert site.events[-1].verdict is AccessVerdict.ADMITTED


class SlowSigner:
    """A key elsewhere: it signs when it is let."""

    needs_human = False

    def __init__(self, credential: Credential) -> None:
        self._signer = credential.signer
        self.loops: list[bool] = []

    spki = property(lambda self: self._signer.spki)
    schemes = property(lambda self: self._signer.schemes)

    def sign(self, message: bytes, scheme: object) -> bytes:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self.loops.append(False)
        else:
            self.loops.append(True)
        return self._signer.sign(message, scheme)


def test_a_key_that_is_elsewhere_signs_outside_of_the_event_loop(tmp_path, world, car):
    local = world.web_credential(SERVER_NAME)
    signer = SlowSigner(local)
    own = Credential(local.name, None, local.chain, signer=signer)
    with served(tmp_path, world, own=own) as site:
        ended = asyncio.run(site.nas().authenticate(supplicant(world, car.credential)))
        assert ended.code is RadiusCode.ACCESS_ACCEPT
    assert signer.loops == [False]


# --- what is served is what is configured


def test_a_service_is_configured_anew_without_losing_conversations(tmp_path, world, car):
    with served(tmp_path, world) as site:

        async def run() -> None:
            nas, peer = site.nas(), supplicant(world, car.credential)
            answer = await nas.send(peer.receive(ASK).eap)
            site.service.configure(site.service.configuration.load(tmp_path / "radius.toml"))
            hello = peer.receive(answer.eap_message).eap
            assert (await nas.send(hello)).code is RadiusCode.ACCESS_CHALLENGE

        asyncio.run(run())
        assert value(asyncio.run(site.nas().authenticate(supplicant(world, car.credential))).answer, 27) == 3600
