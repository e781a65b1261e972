"""Gates on World, with back ends of the tests' own, and clients of theirs: all on free loopback ports."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dnsbound import Context
from dnsbound.edge.gate import Gate
from dnsbound.edge.gate_configuration import GateConfiguration
from dnsbound.edge.gate_server import GateServer
from dnsbound.edge.gate_sockets import bind_gates
from dnsbound.edge.worker_ports import endpoint_of
from dnsbound.testing import Device, World

SERVER = "localhost"
LABEL = "one"
PATIENCE = 30.0

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say back what is said, until its end."""
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


@dataclass
class BackEnd:
    """A server of the test's own. connections: how many came. problems: how they ended, where not in order."""

    serve: Serve
    connections: int = 0
    problems: list[Exception] = field(default_factory=list)
    handlers: set[asyncio.Task[None]] = field(default_factory=set)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.handlers.add(task)
        try:
            await self.serve(reader, writer)
        except OSError as error:
            self.problems.append(error)
        except asyncio.CancelledError:
            return  # the test is over
        finally:
            self.handlers.discard(task)
            writer.close()


@asynccontextmanager
async def back_end(place: str | Path | None = None, serve: Serve = echo) -> AsyncIterator[tuple[BackEnd, str]]:
    """A back end and its `target`. place: a path for a Unix socket; a free port of 127.0.0.1 without."""
    behind = BackEnd(serve)
    if place is None:
        server = await asyncio.start_server(behind.handle, "127.0.0.1", 0)
        target = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    else:
        server = await asyncio.start_unix_server(behind.handle, place)
        target = f"unix:{place}"
    try:
        yield behind, target
    finally:
        server.close()
        for task in list(behind.handlers):
            task.cancel()
        await asyncio.gather(*behind.handlers, return_exceptions=True)


@dataclass
class Gated:
    """A running gate, labelled `one`. directory: of its gate.toml, access.toml and server.pem."""

    world: World
    server: GateServer
    directory: Path
    port: int

    @property
    def gate(self) -> Gate:
        return self.server.gates[LABEL]

    def client(self, device: Device | None, **options: object) -> Context:
        """A client's Context that trusts World's web servers."""
        made = Context.client(None if device is None else device.credential, **options)  # type: ignore[arg-type]
        made.load_verify_locations(cadata=self.world.web_root_pem.decode())
        return made

    async def connect(
        self, device: Device | None, context: ssl.SSLContext | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A client through TLS; the verdict may still follow."""
        context = context or self.client(device)
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=context, server_hostname=SERVER)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that happens on this loop."""
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110 (what is waited for is code that knows nothing of the test)
                await asyncio.sleep(0.01)


def write_files(
    world: World, directory: Path, *allow: str, door: str = "api", toml: str = "", access: str | None = None
) -> Path:
    """access.toml, server.pem and gate.toml there; the path of the last. access: the whole text of the first."""
    names = ", ".join(f'"{name}"' for name in allow or ("*._device.cars.example",))
    (directory / "access.toml").write_text(access or f"[door.{door}]\nallow = [{names}]\n")
    credential = directory / "server.pem"
    credential.write_bytes(world.web_credential(SERVER).to_pem())
    credential.chmod(0o600)
    configuration = directory / "gate.toml"
    configuration.write_text(toml)
    return configuration


def gate_toml(target: str, options: str = "", *, server: str = "", door: str = "api") -> str:
    """A configuration of one gate. options: further lines of `[gate.one]`."""
    return (
        f'[server]\naccess = "access.toml"\n{server}\n[gate.{LABEL}]\nlisten = "127.0.0.1:0"\ntarget = "{target}"\n'
        f'door = "{door}"\ncredential = "server.pem"\n{options}\n'
    )


@asynccontextmanager
async def gated(
    world: World,
    directory: Path,
    target: str,
    options: str = "",
    *,
    allow: tuple[str, ...] = (),
    server: str = "",
    access: str | None = None,
) -> AsyncIterator[Gated]:
    """A gate before a back end. options: more lines of `[gate.one]`; server: of `[server]`; access: an access.toml."""
    path = write_files(world, directory, *allow, toml=gate_toml(target, options, server=server), access=access)
    configuration = GateConfiguration.load(path)
    (sockets,) = bind_gates(configuration.gates)
    with world.resolver() as resolver:
        running = GateServer(
            configuration,
            resolver,
            sockets,
            reread=lambda: GateConfiguration.load(path),
            anchors=world.anchors,
            clock=world.now,
        )
        async with running:
            yield Gated(world, running, directory, endpoint_of(sockets[LABEL][0]).port)
