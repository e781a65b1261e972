"""Event loops on which unmodified asyncio servers wait for a verdict.

asyncio and uvloop run a server's handshake again only when octets arrive, so a verdict that needs DNS would hang a
stock loop. These loops are asyncio's selector loop and uvloop's with four methods overridden: `create_server`,
`create_unix_server`, `connect_accepted_socket` and `start_tls(server_side=True)`. Given a dnsbound server Context they
lay `ServerProtocol` over a plain server; everything else, clients included, passes through untouched.

    asyncio.Runner(loop_factory=dnsbound.loop_factory)      any asyncio program, hypercorn, aiohttp, websockets
    uvicorn --loop dnsbound:loop_factory                    or uvicorn.Config(loop="dnsbound:loop_factory")

uvicorn takes the Context by `ssl_context_factory=lambda config, default: context`; hypercorn by a subclass of its
Config whose `create_ssl_context` returns it and whose `ssl_enabled` is true; aiohttp and websockets by an argument.
uvicorn (seen in 0.54) imports a `--loop` that is none of its own words and calls it, without arguments, for the loop.
"""

import asyncio
import socket
import ssl as tls
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal, TypeGuard

from dnsbound.edge.context import Context
from dnsbound.edge.current_peer import outside_any_connection
from dnsbound.edge.server_protocol import ServerProtocol
from dnsbound.edge.upgrade import upgrade
from dnsbound.errors import Misuse

if TYPE_CHECKING:
    from dnsbound.edge.server_transport import ServerTransport

    _Base = asyncio.BaseEventLoop
else:
    _Base = object

LoopKind = Literal["auto", "asyncio", "uvloop"]
ProtocolFactory = Callable[[], asyncio.BaseProtocol]


def serves(context: object) -> TypeGuard[Context]:
    """The context is a dnsbound server Context: its connections wait for a verdict."""
    return isinstance(context, Context) and context.is_door


def gated(
    loop: asyncio.AbstractEventLoop,
    context: Context,
    factory: ProtocolFactory,
    *,
    handshake_timeout: float | None = None,
    shutdown_timeout: float | None = None,
) -> ProtocolFactory:
    """A protocol factory for a plain server, which makes the application's protocol once a client is admitted."""

    def make() -> ServerProtocol:
        return ServerProtocol(
            loop, context, factory, handshake_timeout=handshake_timeout, shutdown_timeout=shutdown_timeout
        )

    return make


class VerdictLoop(_Base):
    """The overridden methods; mixed in before an event loop class. Signatures are asyncio's."""

    async def create_server(
        self,
        protocol_factory: ProtocolFactory,
        host: Any = None,  # noqa: ANN401 (a name, several, or None)
        port: int | None = None,
        *,
        ssl: Any = None,  # noqa: ANN401 (whatever the base class takes)
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        **options: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401 (asyncio's Server or uvloop's)
        """As in asyncio."""
        factory, tls_options = self._plain(protocol_factory, ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
        # A listener keeps the context it was made in, and who connects is not whom the code there serves.
        with outside_any_connection():
            return await super().create_server(factory, host, port, **tls_options, **options)

    async def create_unix_server(
        self,
        protocol_factory: ProtocolFactory,
        path: Any = None,  # noqa: ANN401 (str, bytes or a path)
        *,
        ssl: Any = None,  # noqa: ANN401
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        **options: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """As in asyncio."""
        factory, tls_options = self._plain(protocol_factory, ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
        with outside_any_connection():
            return await super().create_unix_server(factory, path, **tls_options, **options)

    async def connect_accepted_socket(
        self,
        protocol_factory: ProtocolFactory,
        sock: socket.socket,
        *,
        ssl: Any = None,  # noqa: ANN401
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> tuple[Any, Any]:
        """As in asyncio; returns once the client is admitted, or raises what it was refused with."""
        if not serves(ssl):
            _, tls_options = self._plain(protocol_factory, ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
            return await super().connect_accepted_socket(protocol_factory, sock, **tls_options)
        waiter: asyncio.Future[ServerTransport] = self.create_future()
        _, protocol = await super().connect_accepted_socket(
            lambda: ServerProtocol(
                self,
                ssl,
                protocol_factory,
                handshake_timeout=ssl_handshake_timeout,
                shutdown_timeout=ssl_shutdown_timeout,
                waiter=waiter,
            ),
            sock,
        )
        transport = await protocol.admitted(waiter)
        return transport, transport.get_protocol()

    async def start_tls(
        self,
        transport: Any,  # noqa: ANN401
        protocol: asyncio.BaseProtocol,
        sslcontext: tls.SSLContext,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> Any:  # noqa: ANN401
        """As in asyncio; on the server's side it returns once the client is admitted."""
        if server_side and serves(sslcontext):
            return await upgrade(
                self,
                transport,
                protocol,
                sslcontext,
                handshake_timeout=ssl_handshake_timeout,
                shutdown_timeout=ssl_shutdown_timeout,
            )
        return await super().start_tls(
            transport,
            protocol,
            sslcontext,
            server_side=server_side,
            server_hostname=server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )

    def _plain(
        self, factory: ProtocolFactory, context: object, handshake_timeout: float | None, shutdown_timeout: float | None
    ) -> tuple[ProtocolFactory, dict[str, Any]]:
        """The factory and the TLS arguments for the base class: none of them when the protocol is ours."""
        if serves(context):
            return gated(
                self, context, factory, handshake_timeout=handshake_timeout, shutdown_timeout=shutdown_timeout
            ), {}
        if context is None and handshake_timeout is None and shutdown_timeout is None:
            return factory, {}
        return factory, {
            "ssl": context,
            "ssl_handshake_timeout": handshake_timeout,
            "ssl_shutdown_timeout": shutdown_timeout,
        }


class DnsboundSelectorEventLoop(VerdictLoop, asyncio.SelectorEventLoop):
    """asyncio's selector loop, whose servers wait for a verdict."""


def loop_factory(kind: LoopKind = "auto") -> asyncio.AbstractEventLoop:
    """A new event loop whose servers wait for a verdict.

    kind: `asyncio`, `uvloop`, or `auto`, which is uvloop where it is installed. Misuse when `uvloop` is not installed.
    """
    if kind == "asyncio":
        return DnsboundSelectorEventLoop()
    try:
        return _uvloop_class()()
    except ModuleNotFoundError:
        if kind == "uvloop":
            raise Misuse("uvloop is not installed; pip install dnsbound[uvloop]") from None
        return DnsboundSelectorEventLoop()


_uvloop_classes: Final[list[type[asyncio.AbstractEventLoop]]] = []


def _uvloop_class() -> type[asyncio.AbstractEventLoop]:
    if not _uvloop_classes:
        import uvloop

        class DnsboundUvloop(VerdictLoop, uvloop.Loop):  # type: ignore[misc]
            """uvloop, whose servers wait for a verdict."""

        _uvloop_classes.append(DnsboundUvloop)
    return _uvloop_classes[0]
