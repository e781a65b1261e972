"""Many hostile packets at a RADIUS service: memory stays where it was, and an honest device gets in meanwhile."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnsbound.edge.radius_audit import AccessVerdict
from dnsbound.edge.radius_counters import Dropped
from dnsbound.errors import Reason
from dnsbound.iana import RadiusAttribute, RadiusCode
from dnsbound.limits import EAP_CONVERSATIONS, RADIUS_DUPLICATES
from dnsbound.protocols.eap import EapPacket
from dnsbound.protocols.eap_peer import PeerReply
from dnsbound.protocols.radius import Discard, request_of, split_eap_message
from dnsbound.testing.faults import Fault
from dnsbound.testing.world import World
from interop.radius_server import SECRET
from machines.radius_pairs import ASK, Served, served, supplicant

pytestmark = pytest.mark.timeout(300)

SPOOFED = 100_000
SECONDS = 60.0


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as made:
        made.organisation("cars.example")
        yield made


@pytest.fixture
def site(tmp_path: Path, world: World) -> Iterator[Served]:
    with served(tmp_path, world) as made:
        yield made


def spoofed(number: int, secret: bytes, *, state: bytes | None = None) -> bytes:
    """An Access-Request with an Identity, of a station nobody has."""
    identity = EapPacket.response(number & 0xFF, 1, b"@cars.example").to_wire()
    station = b"02-%02X-%02X-%02X-00-00" % (number >> 16 & 0xFF, number >> 8 & 0xFF, number & 0xFF)
    attributes = (
        (int(RadiusAttribute.USER_NAME), b"@cars.example"),
        (int(RadiusAttribute.CALLING_STATION_ID), station),
        (int(RadiusAttribute.CALLED_STATION_ID), b"02-00-00-00-00-01:public"),
        *(((int(RadiusAttribute.STATE), state),) if state is not None else ()),
        *split_eap_message(identity),
    )
    return request_of(RadiusCode.ACCESS_REQUEST, number & 0xFF, attributes, secret, authenticator=os.urandom(16))


def resident() -> int:
    """Octets of memory this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def honest(site: Served, world: World, device) -> RadiusCode | None:
    nas = site.nas(origin={"port": 40_100})
    return (await asyncio.wait_for(nas.authenticate(supplicant(world, device.credential)), SECONDS)).code


def test_requests_with_a_wrong_secret_cost_nothing_that_stays(site, world):
    """Each is a packet of its own, as a stranger sends them who does not care for answers."""
    device = world.organisation("cars.example").device("car80")
    octets = bytearray(spoofed(1, b"what a stranger would guess"))

    async def run() -> None:
        origins = [site.origin(port=port) for port in range(1024, 1024 + 97)]
        for number in range(SPOOFED):
            octets[1] = number & 0xFF
            octets[4:8] = number.to_bytes(4, "big")
            assert site.service.respond(bytes(octets), origins[number % len(origins)]) is None
            if number % 25_000 == 1:
                assert await honest(site, world, device) is RadiusCode.ACCESS_ACCEPT

    asyncio.run(run())
    assert site.dropped == {Discard.WRONG_MESSAGE_AUTHENTICATOR.value: SPOOFED}
    assert len(site.service._conversations) == 0
    assert len(site.service._recent) < 100


def test_requests_with_the_right_secret_begin_conversations_up_to_a_bound(tmp_path, world):
    """A stranger near an access point has that one speak for it: the secret is right, the station is invented. All of
    it within one second, so that nothing expires."""
    device = world.organisation("cars.example").device("car81")
    sizes: list[int] = []
    with served(tmp_path, world, monotonic=lambda: 0.0) as site:
        origins = [site.origin(port=port) for port in range(1024, 1024 + 400)]

        async def run() -> None:
            for number in range(SPOOFED):
                origin = origins[number // 256 % len(origins)]
                assert site.service.respond(spoofed(number, SECRET.encode()), origin) is not None
                if number in (SPOOFED // 2, SPOOFED - 1):
                    sizes.append(resident())
                if number % 25_000 == 24_999:
                    assert await honest(site, world, device) is RadiusCode.ACCESS_ACCEPT

        asyncio.run(run())
        assert EAP_CONVERSATIONS.default - 1 <= len(site.service._conversations) <= EAP_CONVERSATIONS.default
        assert len(site.service._recent) == RADIUS_DUPLICATES.default
        assert site.service.counters.gave_way >= SPOOFED - EAP_CONVERSATIONS.default
    assert sizes[1] - sizes[0] < 16 << 20, "the second half took no more than the first"


def test_an_honest_conversation_survives_a_flood_at_another_access_server(tmp_path, world):
    """Whoever floods displaces its own: the source with the most gives way."""
    device = world.organisation("cars.example").device("car82")
    with served(tmp_path, world, settings="conversations = 50") as site:

        async def run() -> RadiusCode | None:
            nas = site.nas(more=((RadiusAttribute.NAS_IDENTIFIER, b"ap-of-the-honest"),))
            peer = supplicant(world, device.credential, fragment_octets=200)
            heard, code = peer.receive(ASK), None
            while isinstance(heard, PeerReply):
                for number in range(200):
                    site.service.respond(spoofed(number, SECRET.encode()), site.origin())
                answer = await nas.send(heard.eap)
                code = answer.code
                heard = peer.receive(answer.eap_message)
            return code

        assert asyncio.run(run()) is RadiusCode.ACCESS_ACCEPT
        assert len(site.service._conversations) <= 50


def test_guessing_states_leads_nowhere(site, world):
    device = world.organisation("cars.example").device("car83")

    async def run() -> None:
        nas, peer = site.nas(), supplicant(world, device.credential)
        answer = await nas.send(peer.receive(ASK).eap)
        hello = peer.receive(answer.eap_message).eap
        near = nas.state[:-1] + bytes((nas.state[-1] ^ 1,))
        for number, state in enumerate([near, nas.state + b"\0", nas.state[:-1], b"", *map(bytes, range(1, 200))]):
            if state:
                reply = site.service.respond(spoofed(number, SECRET.encode(), state=state), site.origin())
                assert reply[0] == RadiusCode.ACCESS_REJECT
        assert (await nas.send(hello)).code is RadiusCode.ACCESS_CHALLENGE

    asyncio.run(run())


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_a_peer_that_stops_at_any_message_is_forgotten(tmp_path, world, version):
    device = world.organisation("cars.example").device(f"car84{version[-1]}")
    now = 0.0
    with served(tmp_path, world, monotonic=lambda: now) as site:

        async def run() -> int:
            for length in range(1, 60):
                nas = site.nas(station=b"02-00-00-00-01-%02X" % length)
                peer = supplicant(world, device.credential, version=version, fragment_octets=300)
                ended = await nas.authenticate(peer, stop_after=length)
                if ended.code is RadiusCode.ACCESS_ACCEPT:
                    return length
            return 0

        length = asyncio.run(run())
        assert length > 5
        assert len(site.service._conversations) == length - 1
        now = 61.0
        site.service.tick()
        assert len(site.service._conversations) == 0
        verdicts = [event.verdict for event in site.events]
        assert verdicts == [AccessVerdict.ADMITTED, *[AccessVerdict.ABANDONED] * (length - 1)]


def test_a_dns_that_stalls_holds_up_nobody_else(site, world):
    cars = world.organisation("cars.example")
    lost = [cars.device(f"lost{number}") for number in range(20)]
    device = cars.device("car85")
    for one in lost:
        world.fault(one.name.text, Fault.DEAD)

    async def run() -> None:
        async def waiting(number: int, one) -> RadiusCode | None:
            nas = site.nas(station=b"02-00-00-00-02-%02X" % number, origin={"port": 41_000 + number})
            return (await nas.authenticate(supplicant(world, one.credential))).code

        tasks = [asyncio.ensure_future(waiting(number, one)) for number, one in enumerate(lost)]
        while not any(conversation.busy for conversation in site.service._conversations):  # noqa: ASYNC110 (no event)
            await asyncio.sleep(0)
        assert await honest(site, world, device) is RadiusCode.ACCESS_ACCEPT
        assert not any(task.done() for task in tasks)
        assert await asyncio.wait_for(asyncio.gather(*tasks), SECONDS) == [RadiusCode.ACCESS_REJECT] * len(lost)

    try:
        asyncio.run(run())
    finally:
        world.heal()
    reasons = [event.reason for event in site.events if event.verdict is AccessVerdict.UNDECIDED]
    assert reasons == [Reason.DNS_FAILED.value] * len(lost)
    assert Dropped.FAILED.value not in site.dropped
