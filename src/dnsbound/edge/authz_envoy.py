"""The face for Envoy's `ext_authz` by gRPC, for HTTP and for TCP (`protocols.envoy_check` says what is asked).

gRPC is that of the package `grpcio`, with the extra `envoy`; both are imported when such a front is configured, which
costs a process 30 MB and 0.1 s. It listens on a socket of its own in a directory that nobody else may enter, because
it can neither be given a socket nor say who connects: what fronts connect to is our own socket, which knows its users
and limits like that of every other face, and passes octets on.
"""

import asyncio
import contextlib
import importlib.util
import logging
import socket
import tempfile
import time
from hmac import compare_digest
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, cast

from dnsbound.door_limits import FRONT_BODY_OCTETS, FRONT_DRAIN_SECONDS, GRPC_IDLE_SECONDS, GRPC_STREAMS
from dnsbound.edge.authz_routes import HttpOptions, status_of
from dnsbound.edge.front import Allowed, Asked, Denied, Front
from dnsbound.edge.served_front import FrontConnection, ServedFront, StreamServer
from dnsbound.edge.toml_tables import TomlTable
from dnsbound.errors import DnsboundError, Misuse
from dnsbound.protocols.envoy_check import METHOD, SERVICE, CheckQuestion, allowed, denied
from dnsbound.protocols.identity_headers import identity_headers

_UNDECIDED: Final = {"403": HTTPStatus.FORBIDDEN, "503": HTTPStatus.SERVICE_UNAVAILABLE}
_BEARER: Final = "Bearer "
_NEEDED: Final = ("grpc", "envoy.service.auth.v3.external_auth_pb2", "google.rpc.status_pb2")

_log: Final = logging.getLogger("dnsbound.authz")


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even what it is a part of
        return False


class EnvoyFace:
    """A `Face`."""

    def options(self, table: TomlTable, front: Front) -> HttpOptions:
        del front
        if not all(map(_is_installed, _NEEDED)):
            raise table.wrong("needs the extra `envoy`: pip install dnsbound[envoy]", "protocol")
        return HttpOptions(undecided=table.chosen("undecided", _UNDECIDED, HTTPStatus.FORBIDDEN))

    async def serve(self, served: ServedFront, sock: socket.socket) -> "EnvoyServer":
        return await EnvoyServer.start(served, sock)


class EnvoyServer:
    """A `FaceServer`: the sockets of fronts, and gRPC behind them."""

    def __init__(self, served: ServedFront) -> None:
        self._served = served
        self._open: contextlib.AsyncExitStack

    @classmethod
    async def start(cls, served: ServedFront, sock: socket.socket) -> "EnvoyServer":
        server = cls(served)
        async with contextlib.AsyncExitStack() as opening:
            directory = opening.enter_context(tempfile.TemporaryDirectory(prefix="dnsbound-grpc-"))
            path = Path(directory) / "s"
            rpc = await _rpc_server(Checks(served), path)
            opening.push_async_callback(rpc.stop, FRONT_DRAIN_SECONDS.default)
            stream = await StreamServer.start(served, sock, lambda front: RelayedConnection(front, path))
            opening.push_async_callback(stream.aclose)
            server._open = opening.pop_all()
        return server

    async def aclose(self) -> None:
        await self._open.aclose()


async def _rpc_server(checks: "Checks", path: Path) -> Any:  # noqa: ANN401 (grpcio has no types)
    import grpc
    from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse

    options = (
        ("grpc.max_receive_message_length", FRONT_BODY_OCTETS.default),
        ("grpc.max_concurrent_streams", GRPC_STREAMS.default),
    )
    server = grpc.aio.server(options=options)
    handler = grpc.unary_unary_rpc_method_handler(
        checks.check,
        request_deserializer=CheckRequest.FromString,
        response_serializer=CheckResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))
    if not server.add_insecure_port(f"unix:{path}"):
        raise Misuse(f"gRPC cannot listen at {path}")
    await server.start()
    return server


class Checks:
    """Answers one front's calls."""

    def __init__(self, served: ServedFront) -> None:
        self._served = served

    async def check(self, message: Any, context: Any) -> Any:  # noqa: ANN401 (see above)
        """The answer to one call; never an error, which Envoy could be set to let in."""
        began = time.perf_counter()
        try:
            return await self._checked(CheckQuestion(message), context)
        except Exception:  # noqa: BLE001 (whatever is broken here must not let anyone in)
            _log.exception("front %s: a question failed", self._served.front.label)
            return denied(HTTPStatus.INTERNAL_SERVER_ERROR)
        finally:
            self._served.door.counters.took(time.perf_counter() - began)

    async def _checked(self, question: CheckQuestion, context: Any) -> Any:  # noqa: ANN401 (see above)
        door = self._served.door
        if not self._is_known(context):
            self._served.turn_away("secret", "asks without its secret")
            return denied(HTTPStatus.FORBIDDEN)
        try:
            asked = Asked(chain=question.chain, source=question.source, protocol=question.protocol)
        except DnsboundError as error:
            return self._denied(door.malformed(error, source=question.source))
        answer = await door.ask(asked)
        if isinstance(answer, Denied):
            return self._denied(answer)
        return self._allowed(question, answer)

    def _allowed(self, question: CheckQuestion, answer: Allowed) -> Any:  # noqa: ANN401 (see above)
        peer = answer.peer
        try:
            fields = identity_headers(name=peer.name, door=peer.door, grants=peer.grants, valid_until=peer.valid_until)
        except DnsboundError:
            _log.exception("front %s: %s cannot be told", self._served.front.label, peer.name)
            return denied(HTTPStatus.INTERNAL_SERVER_ERROR)
        return allowed(question, fields)

    def _denied(self, answer: Denied) -> Any:  # noqa: ANN401 (see above)
        options = self._served.front.options
        return denied(status_of(answer, options if isinstance(options, HttpOptions) else HttpOptions()))

    def _is_known(self, context: Any) -> bool:  # noqa: ANN401 (see above)
        secrets = self._served.front.secrets
        if not secrets:
            return True
        said = [value for name, value in context.invocation_metadata() if name == "authorization"]
        word = said[0].removeprefix(_BEARER) if len(said) == 1 and isinstance(said[0], str) else ""
        return any([compare_digest(word.encode(), secret) for secret in secrets])  # noqa: C419 (all of them)


class RelayedConnection(FrontConnection):
    """A connection of a front, whose octets go to gRPC and back."""

    def __init__(self, served: ServedFront, path: Path) -> None:
        super().__init__(served)
        self._path = path
        self._inner: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if not self._transport.is_closing():
            self._transport.pause_reading()
            self._connecting = self._loop.create_task(self._connect())

    async def _connect(self) -> None:
        try:
            await self._loop.create_unix_connection(lambda: _Inner(self), str(self._path))
        except OSError:
            self._transport.abort()

    def wait_for_request(self) -> None:
        self._deadline = self._loop.time() + GRPC_IDLE_SECONDS.default

    def joined(self, inner: asyncio.Transport) -> None:
        """gRPC has taken the connection."""
        self._inner = inner
        if self._transport.is_closing():
            inner.abort()
        else:
            self._transport.resume_reading()

    def received(self, octets: bytes) -> None:
        self.wait_for_request()
        if self._inner is not None:
            self._inner.write(octets)

    def answered(self, octets: bytes) -> None:
        """Octets of gRPC."""
        self.wait_for_request()
        self.write(octets)

    def hold(self, *, held: bool) -> None:
        """gRPC reads no more, or again."""
        if not self._transport.is_closing():
            (self._transport.pause_reading if held else self._transport.resume_reading)()

    def pause_writing(self) -> None:
        self.wait_for_rest()
        if self._inner is not None:
            self._inner.pause_reading()

    def resume_writing(self) -> None:
        self.wait_for_request()
        if self._inner is not None and not self._inner.is_closing():
            self._inner.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._connecting is not None:
            self._connecting.cancel()
        if self._inner is not None:
            self._inner.abort()


class _Inner(asyncio.Protocol):
    """The other half of a relayed connection."""

    def __init__(self, outer: RelayedConnection) -> None:
        self._outer = outer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._outer.joined(cast("asyncio.Transport", transport))

    def data_received(self, data: bytes) -> None:
        self._outer.answered(data)

    def pause_writing(self) -> None:
        self._outer.hold(held=True)

    def resume_writing(self) -> None:
        self._outer.hold(held=False)

    def connection_lost(self, _error: Exception | None) -> None:
        self._outer.close()
