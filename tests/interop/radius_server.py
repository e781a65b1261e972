"""Our RADIUS server on a World, in a thread beside a test: what others' supplicants, access points and proxies talk to.

    with radius_site(tmp_path) as site:
        seen = eapol_test(tmp_path, site.supplicant(site.car), port=site.port, secret=site.secret)

Two networks, as at an ISP that has guests: `public` admits devices of cars.example to VLAN `visitors`, `staff`
admits one device to VLAN 12.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from dnsbound.credential.credential import Credential
from dnsbound.edge.credential_files import save_credential
from dnsbound.edge.radius_audit import AccessEvent
from dnsbound.edge.radius_configuration import RadiusConfiguration
from dnsbound.edge.radius_server import RadiusServer
from dnsbound.edge.radius_sockets import Bound, bind_all
from dnsbound.edge.radius_supervision import look_after, supervised
from dnsbound.edge.resolver import Resolver
from dnsbound.edge.worker_ports import endpoint_of
from dnsbound.testing.background_loop import BackgroundLoop
from dnsbound.testing.organisation import Device, Organisation
from dnsbound.testing.world import World
from interop.radius_eapol import Supplicant
from interop.radius_examples import SERVER_NAME, Pem

T = TypeVar("T")

SECRET: Final = "the-secret-that-this-test-shares"
PUBLIC_SSID: Final = "02-00-00-00-00-01:public"
STAFF_SSID: Final = "02-00-00-00-00-01:staff"
"""Called-Station-Id of the two networks."""

ACCESS: Final = """
[door."public.isp.example"]
allow = [{ names = ["*._device.cars.example"], grants = { vlan = "visitors" } }]

[door."wireless.isp.example"]
allow = [{ names = ["car54._device.cars.example"], grants = { vlan = 12, session_timeout = 7200 } }]
"""
CLIENTS: Final = """
[client.nas]
address = ["127.0.0.0/8", "::1", "10.0.0.0/8"]
secret_file = "nas.secret"
"""
NETWORKS: Final = """
[network.staff]
door = "wireless.isp.example"
ssid = ["staff"]

[network.public]
door = "public.isp.example"
"""


@dataclass(kw_only=True)
class RadiusSite:
    """The server and what it serves. car: is admitted; stranger: has a record as good, in a zone that is on no list.
    directory: of all files."""

    world: World
    cars: Organisation
    car: Device
    stranger: Device
    directory: Path
    secret: str = SECRET
    server: RadiusServer
    bound: Bound
    loop: BackgroundLoop
    resolver: Resolver
    events: list[AccessEvent] = field(default_factory=list)
    """Of each authentication."""

    @property
    def port(self) -> int:
        return endpoint_of(self.bound.authentication[0]).port

    @property
    def accounting_port(self) -> int:
        return endpoint_of(self.bound.accounting[0]).port

    @property
    def root(self) -> Path:
        """The authority that the server's certificate leads to."""
        return self.world.directory / "web-root.pem"

    def supplicant(self, device: Device | Credential, **options: Any) -> Supplicant:
        """wpa_supplicant's configuration for a device. options: of `Supplicant`."""
        credential = device if isinstance(device, Credential) else device.credential
        pem = Pem.write(self.directory, f"client{len(list(self.directory.glob('client*.crt')))}", credential)
        options.setdefault("server", SERVER_NAME)
        return Supplicant(client=pem, authority=str(self.root), **options)

    def dropped(self) -> Mapping[str, int]:
        """Packets that got no answer, by why."""
        return dict(self.server.service.counters.dropped)

    def rewrite(self, name: str, text: str) -> None:
        """Write `radius.toml` or another file anew and have everything read again, as at SIGHUP."""
        write(self.directory / name, text)
        self.on_loop(self.server.reload)

    def on_loop(self, call: Callable[[], T]) -> T:
        """What a call gives on the server's event loop."""

        async def called() -> T:
            return call()

        return self.loop.run(called())


@contextmanager
def radius_site(
    directory: Path,
    *,
    world: World | None = None,
    settings: str = "",
    clients: str = CLIENTS,
    networks: str = NETWORKS,
    access: str = ACCESS,
    host: str = "127.0.0.1",
    credential: Credential | None = None,
    supervise: bool = False,
    **options: Any,
) -> Iterator[RadiusSite]:
    """settings: further lines of [server]. host: where to listen. credential: of the EAP-TLS server, by default one
    under the World's web authority. supervise: disconnect whose records disappear. options: of `RadiusServer`."""
    if world is None:
        with (
            World() as made,
            radius_site(
                directory,
                world=made,
                settings=settings,
                clients=clients,
                networks=networks,
                access=access,
                host=host,
                credential=credential,
                supervise=supervise,
                **options,
            ) as site,
        ):
            yield site
        return
    configuration = radius_files(
        directory,
        world,
        settings=settings,
        clients=clients,
        networks=networks,
        access=access,
        host=host,
        own=credential,
    )
    cars, trucks = world.organisation("cars.example"), world.organisation("trucks.example")
    events: list[AccessEvent] = []
    (bound,) = bind_all(configuration)
    with BackgroundLoop("radius") as loop:
        resolver = world.resolver()

        running = AsyncExitStack()

        async def made_server() -> RadiusServer:
            if not supervise:
                made = RadiusServer(configuration, resolver, bound, on_event=events.append, **options)
                return await running.enter_async_context(made)
            live = await running.enter_async_context(supervised(configuration, clock=world.now))
            made = RadiusServer(
                configuration, resolver, bound, on_event=events.append, supervision=live, recorder=live, **options
            )
            server = await running.enter_async_context(made)
            await look_after(live, server)
            return server

        server = loop.run(made_server())
        try:
            yield RadiusSite(
                world=world,
                cars=cars,
                car=cars.device("car54"),
                stranger=trucks.device("truck7"),
                directory=directory,
                server=server,
                bound=bound,
                loop=loop,
                resolver=resolver,
                events=events,
            )
        finally:
            loop.run(running.aclose())


def radius_files(
    directory: Path,
    world: World,
    *,
    settings: str = "",
    clients: str = CLIENTS,
    networks: str = NETWORKS,
    access: str = ACCESS,
    host: str = "127.0.0.1",
    own: Credential | None = None,
) -> RadiusConfiguration:
    """All files of a server, and what radius.toml says. Arguments: see `radius_site`."""
    at = f"[{host}]:0" if ":" in host else f"{host}:0"
    kept = "" if "accounting_" in settings else "accounting_discard = true\n"
    server = (
        f'[server]\nlisten = ["{at}"]\naccounting = ["{at}"]\n{kept}'
        f'credential = "server.pem"\naccess = "access.toml"\n{settings}\n'
    )
    save_credential(own or world.web_credential(SERVER_NAME), directory / "server.pem", force=True)
    write(directory / "nas.secret", SECRET)
    write(directory / "access.toml", access)
    write(directory / "radius.toml", server + clients + networks)
    return RadiusConfiguration.load(directory / "radius.toml")


def write(path: Path, text: str) -> None:
    """For its owner alone, as secrets have to be."""
    path.touch(mode=0o600)
    path.write_text(text)
