"""The networks of the demonstration: one RADIUS server with two Wi-Fi networks, and the access points before it.

The server is the one of `dnsbound serve radius`, in this process. Of the access points there is what a supplicant does
not bring along: they know who is in, and take Disconnect-Requests (RFC 5176).
"""

import asyncio
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Final, cast

from dnsbound.cli.demo_supplicants import Joining, RadiusAt, Supplicant, Told, supplicant
from dnsbound.edge.credential_files import save_credential
from dnsbound.edge.radius_audit import AccessEvent
from dnsbound.edge.radius_configuration import RadiusConfiguration
from dnsbound.edge.radius_server import RadiusServer
from dnsbound.edge.radius_sockets import bind_all
from dnsbound.edge.radius_supervision import look_after, supervised
from dnsbound.edge.worker_ports import endpoint_of
from dnsbound.errors import DnsboundError
from dnsbound.iana import ErrorCause, RadiusAttribute, RadiusCode
from dnsbound.protocols.radius import RadiusPacket
from dnsbound.protocols.radius_attributes import read_text
from dnsbound.protocols.radius_dynamic import dynamic_answer, read_dynamic_request
from dnsbound.testing.background_loop import BackgroundLoop
from dnsbound.testing.world import World
from dnsbound.times import Seconds

PUBLIC: Final = "public.isp.example"
WIRELESS: Final = "wireless.cars.example"
SERVER_NAME: Final = "radius.isp.example"
_SECRET: Final = "the secret of the demonstration"  # noqa: S105 (between ends that are both in this process)
_EVENT_SECONDS: Final = 10.0

_RADIUS: Final = """
[server]
listen = ["127.0.0.1:0"]
credential = "radius.pem"
access = "radius-access.toml"

[client.office]
address = ["127.0.0.1"]
secret_file = "office.secret"
dynamic_authorisation = "127.0.0.1:{port}"

[network.public]
door = "public.isp.example"
ssid = ["public"]

[network.wireless]
door = "wireless.cars.example"
ssid = ["wireless"]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a device is: which access point's, and which station there."""

    access_point: str
    station: str


class AccessPoints(asyncio.DatagramProtocol):
    """All access points: who is in, and the end of it."""

    def __init__(self) -> None:
        self.inside: Final[set[Place]] = set()
        self._disconnected: Final[dict[Place, float]] = {}
        self._changed = threading.Condition()
        self._transport: asyncio.DatagramTransport

    def disconnected_at(self, place: Place, *, seconds: Seconds) -> float | None:
        """When the session there was ended because the server said so, by `time.perf_counter`. None when there was
        none, or it is still there so many seconds from now."""
        with self._changed:
            self._changed.wait_for(lambda: place not in self.inside, timeout=seconds)
            return self._disconnected.get(place)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        secret = _SECRET.encode()
        try:
            request = read_dynamic_request(data, secret, now=time.time())
            place = _place_of(request)
        except DnsboundError:
            return
        if request.code is not RadiusCode.DISCONNECT_REQUEST:
            cause: ErrorCause | None = ErrorCause.UNSUPPORTED_EXTENSION
        elif place in self.inside:
            cause = None
            with self._changed:
                self.inside.discard(place)
                self._disconnected[place] = time.perf_counter()
                self._changed.notify_all()
        else:
            cause = ErrorCause.SESSION_CONTEXT_NOT_FOUND
        self._transport.sendto(dynamic_answer(request, secret, cause=cause), addr)


def _place_of(request: RadiusPacket) -> Place:
    def said(attribute: RadiusAttribute) -> str:
        return read_text(request.first(attribute) or b"")

    return Place(access_point=said(RadiusAttribute.NAS_IDENTIFIER), station=said(RadiusAttribute.CALLING_STATION_ID))


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """One authentication from both ends. event: the server's; None when it told of none."""

    told: Told
    event: AccessEvent | None


class Networks:
    """Join them by `join`; `access_points` tells who was put out."""

    def __init__(self, radius: RadiusAt, access_points: AccessPoints, events: "queue.SimpleQueue[AccessEvent]") -> None:
        self.access_points: Final = access_points
        self.by: Final[Supplicant] = supplicant()
        self._radius = radius
        self._events = events

    def join(self, joining: Joining) -> Joined:
        """Try to get in."""
        place = Place(access_point=joining.access_point, station=joining.station)
        self.access_points.inside.add(place)
        told = self.by.join(self._radius, joining)
        if not told.admitted:
            self.access_points.inside.discard(place)
        try:
            event = self._events.get(timeout=_EVENT_SECONDS)
        except queue.Empty:
            event = None
        return Joined(told=told, event=event)


@contextmanager
def serving_networks(world: World, access: str) -> Iterator[Networks]:
    """The server and the access points, until the end. access: the text of the access list."""
    access_points = AccessPoints()
    events: queue.SimpleQueue[AccessEvent] = queue.SimpleQueue()
    running = AsyncExitStack()
    resolver = world.resolver()

    async def start() -> int:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: access_points, local_addr=("127.0.0.1", 0)
        )
        running.callback(transport.close)
        configuration = _configuration(world, access, port=transport.get_extra_info("sockname")[1])
        (bound,) = bind_all(configuration)
        live = await running.enter_async_context(supervised(configuration, clock=world.now))
        server = RadiusServer(configuration, resolver, bound, on_event=events.put, supervision=live, recorder=live)
        await running.enter_async_context(server)
        await look_after(live, server)
        return endpoint_of(bound.authentication[0]).port

    with BackgroundLoop("demo-radius") as loop:
        try:
            radius = RadiusAt(
                port=loop.run(start()),
                secret=_SECRET,
                server_name=SERVER_NAME,
                authorities=world.directory / "web-root.pem",
            )
            yield Networks(radius, access_points, events)
        finally:
            loop.run(running.aclose())


def _configuration(world: World, access: str, *, port: int) -> RadiusConfiguration:
    """The files of the server, read. port: of the access points."""
    files = world.directory
    save_credential(world.web_credential(SERVER_NAME), files / "radius.pem")
    (files / "office.secret").touch(mode=0o600)
    for name, text in (
        ("office.secret", _SECRET),
        ("radius-access.toml", access),
        ("radius.toml", _RADIUS.format(port=port)),
    ):
        (files / name).write_text(text)
    return RadiusConfiguration.load(files / "radius.toml")
