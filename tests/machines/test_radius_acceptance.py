"""What an Access-Accept says beside keys and VLAN: handles, names, vendors' attributes, how long, and who is told."""

import asyncio
from collections.abc import Iterator

import pytest

from dnsbound.edge.radius_admission import Admission
from dnsbound.edge.radius_audit import AccessVerdict
from dnsbound.errors import LimitExceeded
from dnsbound.iana import RadiusAttribute, RadiusCode
from dnsbound.limits import LIVE_SESSIONS
from dnsbound.protocols.eap_peer import PeerDone
from dnsbound.testing.world import World
from interop.radius_server import write
from machines.radius_pairs import Ended, served, supplicant, value

pytestmark = pytest.mark.timeout(60)

CUI = int(RadiusAttribute.CHARGEABLE_USER_IDENTITY)
WISHES_A_HANDLE = ((CUI, b"\0"),)
NOBODY_TOLD = '\n[client.nas]\naddress = ["127.0.0.1"]\nsecret_file = "nas.secret"\ndynamic_authorisation = "none"\n'


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as made:
        made.organisation("cars.example")
        yield made


@pytest.fixture(scope="module")
def car(world):
    return world.organisation("cars.example").device("car54")


def access(grants: str) -> str:
    return f"""
        [door."public.isp.example"]
        allow = [{{ names = ["*._device.cars.example"], grants = {{ {grants} }} }}]
        [door."wireless.isp.example"]
    """


class Supervising:
    """Takes admissions, or has no room."""

    def __init__(self, *, full: bool = False) -> None:
        self.full = full
        self.admissions: list[Admission] = []

    def new_class(self, client: str) -> bytes:
        return b"class of " + client.encode()

    def admitted(self, admission: Admission) -> None:
        if self.full:
            raise LimitExceeded(LIVE_SESSIONS.name)
        self.admissions.append(admission)


def admitted(site, world, device, **options) -> Ended:
    ended = asyncio.run(site.nas(**options).authenticate(supplicant(world, device.credential)))
    assert isinstance(ended.heard, PeerDone)
    assert ended.code is RadiusCode.ACCESS_ACCEPT
    return ended


@pytest.mark.parametrize("tells", [True, False])
def test_an_operator_that_asks_gets_a_handle_and_the_name_where_it_is_told(tmp_path, world, car, tells):
    write(tmp_path / "handles.key", "0123456789abcdef0123456789abcdef")
    networks = f'[network.all]\ndoor = "public.isp.example"\ntell_name = {str(tells).lower()}\n'
    with served(tmp_path, world, settings='handle_key_file = "handles.key"', networks=networks) as site:
        answers = [admitted(site, world, car, more=WISHES_A_HANDLE).answer for _ in range(2)]
        handles = {answer.first(CUI) for answer in answers}
        assert len(handles) == 1
        (handle,) = handles
        assert len(handle) == 32
        name = car.name.canonical.encode() if tells else handle
        assert answers[0].first(RadiusAttribute.USER_NAME) == name
        assert admitted(site, world, car).answer.first(CUI) is None


def test_a_name_that_is_not_told_is_left_away_without_a_key_for_handles(tmp_path, world, car):
    networks = '[network.all]\ndoor = "public.isp.example"\ntell_name = false\n'
    with served(tmp_path, world, networks=networks) as site:
        answer = admitted(site, world, car, more=WISHES_A_HANDLE).answer
        assert (answer.first(RadiusAttribute.USER_NAME), answer.first(CUI)) == (None, None)
        assert car.name.canonical.encode() not in b"".join(octets for _, octets in answer.attributes)


def test_vendors_attributes_are_granted_by_the_names_of_a_dictionary(tmp_path, world, car):
    write(
        tmp_path / "aruba",
        "VENDOR Aruba 14823\nBEGIN-VENDOR Aruba\nATTRIBUTE Aruba-User-Role 1 string\nEND-VENDOR Aruba\n",
    )
    granted = access('attributes = { "Aruba-User-Role" = "guest", "Filter-Id" = "web" }')
    with served(tmp_path, world, settings='dictionary = ["aruba"]', access=granted) as site:
        answer = admitted(site, world, car).answer
        assert (14823).to_bytes(4, "big") + b"\x01\x07guest" in answer.all(RadiusAttribute.VENDOR_SPECIFIC)
        assert answer.all(RadiusAttribute.FILTER_ID) == (b"web",)


def test_an_attribute_of_no_dictionary_lets_nobody_in(tmp_path, world, car):
    with served(tmp_path, world, access=access('attributes = { "Aruba-User-Role" = "guest" }')) as site:
        ended = asyncio.run(site.nas().authenticate(supplicant(world, car.credential)))
        assert ended.code is RadiusCode.ACCESS_REJECT


def test_a_vlan_has_the_tag_its_client_wants(tmp_path, world, car):
    clients = NOBODY_TOLD.replace('dynamic_authorisation = "none"', "vlan_tag = 3")
    with served(tmp_path, world, clients=clients, access=access("vlan = 7")) as site:
        answer = admitted(site, world, car).answer
        assert answer.first(RadiusAttribute.TUNNEL_PRIVATE_GROUP_ID) == b"\x037"
        assert answer.first(RadiusAttribute.TUNNEL_TYPE)[0] == 3


@pytest.mark.parametrize(
    "asked",
    [
        (None, True, True, 600),
        (7200, True, True, 7200),
        (7200, True, False, 600),
        (7200, False, True, 600),
        (120, True, False, 120),
        (120, True, True, 120),
        (None, False, False, 600),
    ],
)
def test_a_session_lasts_as_granted_or_as_long_as_its_evidence_where_nobody_can_end_it(tmp_path, world, car, asked):
    granted, supervised, told, expected = asked
    networks = '[network.all]\ndoor = "public.isp.example"\nsession_timeout = 600\nreauthenticate = false\n'
    grants = "" if granted is None else f"session_timeout = {granted}"
    clients = NOBODY_TOLD.replace("none", "127.0.0.1:3799") if told else NOBODY_TOLD
    options = {"supervision": Supervising()} if supervised else {}
    with served(tmp_path, world, networks=networks, clients=clients, access=access(grants), **options) as site:
        answer = admitted(site, world, car).answer
        assert value(answer, RadiusAttribute.SESSION_TIMEOUT) == expected
        assert value(answer, RadiusAttribute.TERMINATION_ACTION) is None


def test_whoever_keeps_account_is_told_who_came_in_where(tmp_path, world, car):
    supervision = Supervising()
    with served(tmp_path, world, supervision=supervision) as site:
        answer = admitted(site, world, car).answer
        assert answer.first(RadiusAttribute.CLASS) == b"class of nas"
        (admission,) = supervision.admissions
        assert (admission.network, admission.client, admission.address) == ("public", "nas", "127.0.0.1")
        assert admission.peer.name == car.name
        assert admission.claim.source == "02-00-00-00-00-54 @ nas 127.0.0.1"
        assert dict(admission.identification)[RadiusAttribute.USER_NAME] == car.name.canonical.encode()
        assert admission.session_timeout == 3600


def test_nobody_comes_in_whose_session_nobody_can_keep_account_of(tmp_path, world, car):
    with served(tmp_path, world, supervision=Supervising(full=True)) as site:
        ended = asyncio.run(site.nas().authenticate(supplicant(world, car.credential)))
        assert ended.code is RadiusCode.ACCESS_REJECT
        assert [(event.verdict, event.reason) for event in site.events] == [
            (AccessVerdict.UNDECIDED, LIVE_SESSIONS.name)
        ]
        assert len(site.service._conversations) == 0


def test_evidence_that_holds_longer_than_the_floor_is_as_long_as_the_session(tmp_path, world):
    lasting = world.organisation("cars.example").device("car90", ttl=3000)
    networks = '[network.all]\ndoor = "public.isp.example"\nsession_timeout = 600\n'
    granted = access("session_timeout = 7200")
    with served(tmp_path, world, networks=networks, clients=NOBODY_TOLD, access=granted) as site:
        seconds = value(admitted(site, world, lasting).answer, RadiusAttribute.SESSION_TIMEOUT)
        assert 600 < seconds <= 3000
