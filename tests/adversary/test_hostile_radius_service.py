"""Access servers that have a secret, or are behind a proxy that has one, against a RADIUS service and its others."""

import asyncio
import base64
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnsbound.edge.radius_audit import AccessVerdict
from dnsbound.edge.radius_counters import Dropped
from dnsbound.errors import Reason, Refused
from dnsbound.iana import RadiusAttribute, RadiusCode
from dnsbound.protocols.eap_peer import PeerReply
from dnsbound.testing.organisation import Device
from dnsbound.testing.world import World
from machines.radius_live_pairs import live_site
from machines.radius_pairs import ASK, PUBLIC, STAFF, AccessServer, Served, served, supplicant, supplicant_context

pytestmark = pytest.mark.timeout(300)

SECONDS = 60.0
PROXY_STATES = tuple((int(RadiusAttribute.PROXY_STATE), bytes(250)) for _ in range(13))
"""3276 octets of the answer, which has 4096: an EAP packet of 1024 does not fit beside them."""
DAY = 86_400


@pytest.fixture
def world() -> Iterator[World]:
    with World() as made:
        made.organisation("cars.example")
        yield made


@pytest.fixture
def car(world: World) -> Device:
    return world.organisation("cars.example").device("car54")


@pytest.fixture
def site(tmp_path: Path, world: World) -> Iterator[Served]:
    with served(tmp_path, world) as made:
        yield made


async def admitted(nas: AccessServer, world: World, device: Device) -> RadiusCode | None:
    peer = supplicant(world, device.credential, fragment_octets=200)
    return (await asyncio.wait_for(nas.authenticate(peer), SECONDS)).code


def test_an_answer_that_has_no_room_is_not_made_and_harms_nobody(site, world, car):
    """Whoever is first of several hops chooses how much has to be carried back."""

    async def run() -> None:
        nas = site.nas(more=PROXY_STATES)
        assert await admitted(nas, world, car) is None
        assert site.dropped == {Dropped.NO_ROOM.value: 1}
        assert await admitted(site.nas(origin={"port": 40_001}), world, car) is RadiusCode.ACCESS_ACCEPT

    asyncio.run(run())


def test_who_says_nonsense_of_itself_at_the_end_is_not_let_in(tmp_path, world, car):
    """An address that is none, in the last request alone: by then the rest was found to be in order."""

    async def run() -> None:
        async with live_site(tmp_path, world) as site:
            nas, peer = site.site.nas(), supplicant(world, car.credential)
            heard, code = peer.receive(ASK), None
            while isinstance(heard, PeerReply):
                if _proven(site.site):
                    nas.more = (*nas.more, (int(RadiusAttribute.NAS_IP_ADDRESS), b"\x7f\x01"))
                answer = await nas.send(heard.eap)
                assert answer is not None
                code, heard = answer.code, peer.receive(answer.eap_message)
            assert code is RadiusCode.ACCESS_REJECT
            assert len(site.live) == 0
            assert len(site.site.service._conversations) == 0
            assert site.site.events[-1].verdict is AccessVerdict.UNDECIDED

    asyncio.run(asyncio.wait_for(run(), SECONDS))


def _proven(site: Served) -> bool:
    return any(each.eap.stage.value == "proven" for each in site.service._conversations)


NETWORKS = """
[network.staff]
door = "public.isp.example"
nas_identifier = ["ap-of-staff"]

[network.public]
door = "wireless.isp.example"
"""


def test_a_conversation_stays_with_the_access_server_it_began_at(tmp_path, world):
    """A network may be that of some access servers: what chose it does not change on the way."""
    guest = world.organisation("cars.example").device("guest1")
    with served(tmp_path, world, networks=NETWORKS) as site:

        async def run() -> None:
            nas = site.nas(more=((int(RadiusAttribute.NAS_IDENTIFIER), b"ap-of-staff"),))
            peer = supplicant(world, guest.credential)
            heard = peer.receive(ASK)
            assert isinstance(heard, PeerReply)
            challenge = await nas.send(heard.eap)
            nas.more = ((int(RadiusAttribute.NAS_IDENTIFIER), b"ap-of-others"),)
            heard = peer.receive(challenge.eap_message)
            assert isinstance(heard, PeerReply)
            answer = await nas.send(heard.eap)
            assert answer.code is RadiusCode.ACCESS_REJECT

        asyncio.run(run())
        assert [event.verdict for event in site.events] == [AccessVerdict.FAILED]


@pytest.mark.parametrize("keys", ["", 'ticket_keys = "tickets.key"\n'], ids=["own keys", "shared keys"])
def test_a_ticket_of_one_network_opens_no_other(tmp_path, world, car, keys):
    """A guest of the one comes to the other with the ticket it was given: it shakes hands anew, and is on no list."""
    guest = world.organisation("cars.example").device("guest1", ttl=300)  # a ticket ends with the evidence under it
    (tmp_path / "tickets.key").write_bytes(base64.b64encode(os.urandom(32)) + b"\n")
    (tmp_path / "tickets.key").chmod(0o600)
    with served(tmp_path, world, settings="ticket_seconds = 3600\n" + keys) as site:
        context = supplicant_context(world, guest.credential)

        async def run() -> None:
            first = await site.nas().authenticate(supplicant(world, guest.credential, context=context))
            assert first.code is RadiusCode.ACCESS_ACCEPT
            session = first.heard.session
            assert session is not None
            for called, code in ((STAFF, RadiusCode.ACCESS_REJECT), (PUBLIC, RadiusCode.ACCESS_ACCEPT)):
                peer = supplicant(world, guest.credential, context=context, session=session)
                assert (await site.nas(called=called).authenticate(peer)).code is code

        asyncio.run(asyncio.wait_for(run(), SECONDS))
        assert [event.resumed for event in site.events] == [False, False, True]
        assert site.events[1].reason == Reason.NOT_PERMITTED.value


def test_a_network_that_goes_while_somebody_is_at_its_door(tmp_path, world, car):
    """Who was verified there finds nobody who would look after the session: not let in, and told so."""

    async def run() -> None:
        async with live_site(tmp_path, world) as site:
            nas, peer = site.nas(), supplicant(world, car.credential)
            heard, code = peer.receive(ASK), None
            while isinstance(heard, PeerReply):
                if _proven(site.site):
                    site.live._authenticator_of = {}.get
                answer = await nas.send(heard.eap)
                assert answer is not None
                code, heard = answer.code, peer.receive(answer.eap_message)
            assert code is RadiusCode.ACCESS_REJECT
            assert len(site.live) == 0

    asyncio.run(asyncio.wait_for(run(), SECONDS))


def test_an_old_restart_that_is_told_again_ends_nobodys_supervision(tmp_path, world, car):
    """RADIUS accounting proves no freshness: whoever recorded a report can send it again, years later."""

    async def run() -> None:
        async with live_site(tmp_path, world) as site:
            await site.admit(car)
            for age in (60, 2 * DAY, 400 * DAY):
                old = int(world.now()) - age
                assert await site.report("ACCOUNTING_ON", None, session=b"", timestamp=old)
            assert await site.report("ACCOUNTING_OFF", None, session=b"", delay=3600)
            assert len(site.live) == 1
            assert await site.report("ACCOUNTING_ON", None, session=b"", timestamp=int(world.now()) + 1)
            assert len(site.live) == 0

    asyncio.run(asyncio.wait_for(run(), SECONDS))


def test_an_access_server_without_a_clock_restarts_now(tmp_path, world, car):
    async def run() -> None:
        async with live_site(tmp_path, world) as site:
            await site.admit(car)
            assert await site.report("ACCOUNTING_ON", None, session=b"", timestamp=17)
            assert len(site.live) == 0

    asyncio.run(asyncio.wait_for(run(), SECONDS))


def test_what_an_access_server_calls_itself_writes_no_lines_of_the_log(tmp_path, world, car, caplog):
    caplog.set_level(logging.INFO, logger="dnsbound.radius")
    forged = b"ap\n2027-01-01 dnsbound.radius ERROR all is lost\x1b[2J"

    async def run() -> None:
        async with live_site(tmp_path, world, answer=lambda _request: 406) as site:
            nas = site.site.nas(station=forged, more=((int(RadiusAttribute.NAS_IDENTIFIER), forged),))
            assert await admitted(nas, world, car) is RadiusCode.ACCESS_ACCEPT
            [live] = site.live
            live.cut(Refused(Reason.NO_TLSA, "it is gone"))
            await site.until(lambda: not live.is_in, "the session is left")

    asyncio.run(asyncio.wait_for(run(), SECONDS))
    lines = [record.getMessage() for record in caplog.records]
    assert any("has to end" in line for line in lines)
    assert [line for line in lines if not line.isprintable()] == []


def test_one_client_that_calls_itself_many_displaces_its_own(tmp_path, world, car):
    """A proxy, or whoever has its secret, invents an access server for each conversation."""
    clients = '[client.nas]\naddress = ["127.0.0.0/8"]\nsecret_file = "nas.secret"\n'
    other = '[client.other]\naddress = ["192.0.2.0/24"]\nsecret_file = "nas.secret"\n'
    with served(tmp_path, world, clients=clients + other, settings="conversations = 50") as site:
        known = site.service.configuration.clients

        async def run() -> None:
            honest = [site.nas(station=b"02-00-00-00-01-%02X" % number) for number in range(20)]
            peers = [supplicant(world, car.credential) for _ in honest]
            for nas, peer in zip(honest, peers, strict=True):
                await nas.send(peer.receive(ASK).eap)
            for number in range(500):
                hostile = AccessServer(
                    site,
                    site.origin(client=known["other"], address="192.0.2.1", port=1024 + number),
                    station=b"02-00-00-01-%02X-%02X" % divmod(number, 256),
                    called=PUBLIC,
                    more=((int(RadiusAttribute.NAS_IDENTIFIER), b"ap%d" % number),),
                )
                await hostile.send(supplicant(world, car.credential).receive(ASK).eap)
            kept = [each.client.label for each in site.service._conversations]
            assert kept.count("nas") == 20

        asyncio.run(run())
