"""WebRTC between two real aiortc peers on the loopback interface, each known by its DNS name."""

import asyncio
from collections.abc import Iterator
from typing import Any

import aioice.ice
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription

from dnsbound import (
    AccessList,
    Authenticator,
    Credential,
    LimitExceeded,
    Malformed,
    MatchingType,
    Misuse,
    Reason,
    Refused,
    Selector,
    Usage,
)
from dnsbound.adapters.aiortc import BoundPeerConnection, digests_of
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.testing import World
from dnsbound.testing.organisation import Device
from machines.doors import PATIENCE

DOOR = "calls.cars.example"
CAR = "car54._device.cars.example"
DESK = "desk._service.cars.example"


@pytest.fixture(autouse=True)
def loopback_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """aioice offers every address of the machine but loopback's; here it is the other way round."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        yield world


def of_whole_certificate(world: World, name: str) -> Device:
    label, _, zone = name.partition("._")
    kind, _, zone = zone.partition(".")
    device = world.organisation(zone).identity(f"{label}._{kind}", publish=False)
    device.publish(Usage.DANE_EE, Selector.CERT, MatchingType.SHA2_256)
    return device


class Call:
    """A car that calls the desk, with a data channel; both ends check each other."""

    def __init__(self, world: World, *, permitted: tuple[str, ...] = (CAR, DESK)) -> None:
        self.world = world
        self.car = of_whole_certificate(world, CAR)
        self.desk = of_whole_certificate(world, DESK)
        self.authenticator = Authenticator(AccessList.allowing(DOOR, permitted), world.resolver(), door=DOOR)

    def end(self, device: Device) -> BoundPeerConnection:
        return BoundPeerConnection(device.credential, self.authenticator)

    async def connected(self) -> tuple[BoundPeerConnection, BoundPeerConnection, list[str]]:
        caller, callee, heard = self.end(self.car), self.end(self.desk), []
        channel = caller.createDataChannel("telemetry")
        channel.on("message", heard.append)
        said = asyncio.Event()

        @callee.on("datachannel")
        def echo(taken: Any) -> None:
            @taken.on("message")
            def answer(message: str) -> None:
                taken.send(f"{callee.verified_peer.name}: {message}")  # type: ignore[union-attr]

        channel.on("open", lambda: channel.send("52 km/h"))
        channel.on("message", lambda _: said.set())
        await caller.setLocalDescription(await caller.createOffer())
        await callee.accept(caller.localDescription, name=CAR)
        await callee.setLocalDescription(await callee.createAnswer())
        assert caller.verified_peer is None
        assert callee.verified_peer is None
        await caller.accept(callee.localDescription, name=DESK)
        await asyncio.wait_for(said.wait(), PATIENCE)
        return caller, callee, heard


async def becomes(connection: BoundPeerConnection, state: str) -> None:
    changed = asyncio.Event()
    connection.on("connectionstatechange", changed.set)
    async with asyncio.timeout(PATIENCE):
        while connection.connectionState != state:
            await changed.wait()
            changed.clear()


def test_rtc_01_two_peers_know_each_other_by_name(world: World) -> None:
    async def call() -> None:
        caller, callee, heard = await Call(world).connected()
        assert heard == [f"{CAR}: 52 km/h"]
        assert caller.verified_peer is not None
        assert caller.verified_peer.name.canonical == DESK
        await caller.close()
        await callee.close()
        assert caller.verified_peer is None

    asyncio.run(call())


def test_rtc_02_what_the_record_does_not_name_is_refused_before_it_is_taken(world: World) -> None:
    async def call() -> None:
        scene = Call(world)
        impostor = BoundPeerConnection(Credential.generate(CAR, now=world.now()), scene.authenticator)
        impostor.createDataChannel("telemetry")
        await impostor.setLocalDescription(await impostor.createOffer())
        callee = scene.end(scene.desk)
        with pytest.raises(Refused) as refused:
            await callee.accept(impostor.localDescription, name=CAR)
        assert refused.value.reason is Reason.TLSA_MISMATCH
        assert callee.remoteDescription is None
        assert callee.verified_peer is None
        await impostor.close()
        await callee.close()

    asyncio.run(call())


def test_rtc_03_a_name_that_is_not_permitted_is_never_looked_up(world: World) -> None:
    async def call() -> None:
        scene = Call(world, permitted=(DESK,))
        caller, callee = scene.end(scene.car), scene.end(scene.desk)
        caller.createDataChannel("telemetry")
        await caller.setLocalDescription(await caller.createOffer())
        with pytest.raises(Refused) as refused:
            await callee.accept(caller.localDescription, name=CAR)
        assert refused.value.reason is Reason.NOT_PERMITTED
        assert not world.queries_for(CAR)
        await caller.close()
        await callee.close()

    asyncio.run(call())


def test_rtc_04_a_stolen_description_is_of_no_use_without_the_key(world: World) -> None:
    """Who passes on the car's fingerprint as its own comes as far as DTLS."""

    async def call() -> None:
        scene = Call(world)
        thief, callee = RTCPeerConnection(), scene.end(scene.desk)
        thief.createDataChannel("telemetry")
        await thief.setLocalDescription(await thief.createOffer())
        caller = scene.end(scene.car)
        caller.createDataChannel("telemetry")
        await caller.setLocalDescription(await caller.createOffer())
        stolen = with_fingerprints_of(thief.localDescription, caller.localDescription)
        await callee.accept(stolen, name=CAR)
        await callee.setLocalDescription(await callee.createAnswer())
        await thief.setRemoteDescription(callee.localDescription)
        await becomes(callee, "failed")
        assert callee.verified_peer is None
        for one in (thief, caller, callee):
            await one.close()

    asyncio.run(call())


def test_rtc_05_a_live_peer_whose_record_is_removed_is_cut(world: World) -> None:
    async def call() -> None:
        scene = Call(world)
        caller, callee, _ = await scene.connected()
        scene.car.revoke()
        await becomes(callee, "closed")
        with pytest.raises(Refused) as refused:
            _ = callee.verified_peer
        assert refused.value.reason is Reason.NO_TLSA
        assert len(scene.authenticator.sessions) <= 1
        await caller.close()

    asyncio.run(call())


def test_rtc_06_a_connection_keeps_the_name_and_the_certificate_it_began_with(world: World) -> None:
    async def call() -> None:
        scene = Call(world)
        caller, callee, _ = await scene.connected()
        caller.addTransceiver("audio")
        await caller.setLocalDescription(await caller.createOffer())
        with pytest.raises(Refused) as refused:
            await callee.accept(caller.localDescription, name=DESK)
        assert refused.value.reason is Reason.BAD_NAME
        other = scene.end(scene.desk)
        other.createDataChannel("telemetry")
        await other.setLocalDescription(await other.createOffer())
        with pytest.raises(Refused) as refused:
            await callee.accept(with_fingerprints_of(caller.localDescription, other.localDescription), name=CAR)
        assert refused.value.reason is Reason.TLSA_MISMATCH
        await callee.accept(caller.localDescription, name=CAR)
        for one in (caller, callee, other):
            await one.close()

    asyncio.run(call())


def test_rtc_07_a_record_of_the_key_alone_cannot_be_compared(world: World) -> None:
    async def call() -> None:
        scene = Call(world)
        world.organisation("cars.example").replace(CAR, scene.car.record)
        caller, callee = scene.end(scene.car), scene.end(scene.desk)
        caller.createDataChannel("telemetry")
        await caller.setLocalDescription(await caller.createOffer())
        with pytest.raises(Refused) as refused:
            await callee.accept(caller.localDescription, name=CAR)
        assert refused.value.reason is Reason.TLSA_UNUSABLE
        await caller.close()
        await callee.close()

    asyncio.run(call())


def test_descriptions_are_accepted_with_a_name_alone(world: World) -> None:
    async def call() -> None:
        scene = Call(world)
        callee = scene.end(scene.desk)
        with pytest.raises(Misuse):
            await callee.setRemoteDescription(RTCSessionDescription(sdp="v=0\r\n", type="offer"))
        await callee.close()

    asyncio.run(call())


@pytest.mark.parametrize("options", [{"kind": "raw"}, {"algorithm": KeyAlgorithm.ED25519}])
def test_credentials_that_webrtc_cannot_use_are_misuse(world: World, options: dict[str, Any]) -> None:
    authenticator = Authenticator(AccessList.allowing(DOOR, [CAR]), world.resolver(), door=DOOR)

    async def made() -> None:
        with pytest.raises(Misuse):
            BoundPeerConnection(Credential.generate(CAR, now=world.now(), **options), authenticator)

    asyncio.run(made())


DATA = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:{mid}\r\n"
ONE = "a=fingerprint:sha-256 " + ":".join(["AB"] * 32) + "\r\n"
TWO = "a=fingerprint:sha-256 " + ":".join(["CD"] * 32) + "\r\n"
LONG = "a=fingerprint:sha-512 " + ":".join(["EF"] * 64) + "\r\n"
HEAD = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=setup:actpass\r\n"


def description(text: str) -> RTCSessionDescription:
    return RTCSessionDescription(sdp=text, type="offer")


def test_rtc_08_fingerprints_of_the_session_and_of_its_parts_are_one_certificates() -> None:
    for text in (
        HEAD + ONE + DATA.format(mid=0),
        HEAD + DATA.format(mid=0) + ONE,
        HEAD + ONE + DATA.format(mid=0) + ONE,
    ):
        assert digests_of(description(text)).certificate_sha256 == b"\xab" * 32
    both = digests_of(description(HEAD + ONE + DATA.format(mid=0) + LONG))
    assert both.certificate_sha512 == b"\xef" * 64


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEAD,
        HEAD + ONE,
        HEAD + DATA.format(mid=0),
        HEAD + ONE + DATA.format(mid=0) + TWO,
        HEAD + DATA.format(mid=0) + ONE + DATA.format(mid=1) + TWO,
        HEAD + DATA.format(mid=0) + ONE + DATA.format(mid=1),
        HEAD + DATA.format(mid=0) + ONE + DATA.format(mid=1) + ONE + LONG,
        HEAD + DATA.format(mid=0) + "a=fingerprint:sha-256\r\n",
        HEAD + DATA.format(mid=0) + "a=fingerprint:sha-256 AB:CD\r\n",
        HEAD + DATA.format(mid=0) + ONE.replace("AB:", "AB-", 1),
        HEAD + DATA.format(mid=0) + "a=fingerprint:sha-1 " + ":".join(["AB"] * 20) + "\r\n",
        HEAD + ONE + "m=audio x\r\n",
        HEAD + ONE + "m=audio 9 UDP/TLS/RTP/SAVPF 999\r\n",
        HEAD + ONE + DATA.format(mid=0) + "a=setup:nobody\r\n",
        HEAD + ONE + DATA.format(mid=0) + "a=candidate:1\r\n",
    ],
)
def test_rtc_08_descriptions_that_name_no_single_certificate_are_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        digests_of(description(text))


def test_long_descriptions_are_not_read() -> None:
    with pytest.raises(LimitExceeded):
        digests_of(description(HEAD + ONE + DATA.format(mid=0) + "a=x:y\r\n" * 20_000))


def with_fingerprints_of(taken: RTCSessionDescription, other: RTCSessionDescription) -> RTCSessionDescription:
    theirs = [line for line in other.sdp.splitlines() if line.startswith("a=fingerprint:")][:3]
    by_algorithm = {line.split()[0]: line for line in theirs}
    lines = [by_algorithm.get(line.split(" ")[0], line) for line in taken.sdp.splitlines()]
    return RTCSessionDescription(sdp="\r\n".join([*lines, ""]), type=taken.type)
