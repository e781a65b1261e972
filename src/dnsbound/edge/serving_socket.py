"""The UDP socket of a server on asyncio, and the handlers it runs: the same for DTLS and QUIC.

A handler that fails ends its own connection and nothing else. What arrives, and who is known, is for the servers to say
(`datagram_server`, `quic_server`).
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from functools import partial
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar, cast

from dnsbound.edge.association_table import Address
from dnsbound.edge.current_peer import CONNECTION_PEER, ConnectionPeer
from dnsbound.errors import Refused, Undecided
from dnsbound.tls.errors import without_frames

_log: Final = logging.getLogger("dnsbound.listen")


class ServedEnd(Protocol):
    """What a handler is given: a server's end of one client's connection."""

    @property
    def address(self) -> Address: ...

    def close(self) -> None: ...


EndT = TypeVar("EndT", bound=ServedEnd)


class ServingSocket(asyncio.DatagramProtocol, Generic[EndT]):
    """To be derived from: `datagram_received`, and `abandon` for when the socket is gone."""

    serves: ClassVar[str]
    """What its handlers handle, for the loop's exception handler."""

    def __init__(self, loop: asyncio.AbstractEventLoop, handler: Callable[[EndT], Awaitable[None] | None]) -> None:
        self.loop: Final = loop
        self.transport: asyncio.DatagramTransport
        """The UDP socket, once it is bound."""
        self.unsent = 0
        """Datagrams that the system would not take at once; they count as lost."""
        self._handler: Callable[[EndT], Awaitable[None] | None] = handler
        self._tasks: set[asyncio.Task[None]] = set()
        self._paused = False
        self._lost: asyncio.Future[None] = loop.create_future()

    @property
    def address(self) -> Address:
        """Where it listens."""
        return self.transport.get_extra_info("sockname")

    def abandon(self) -> None:
        """Let every connection go, without a word to the clients."""
        raise NotImplementedError

    async def wait_closed(self) -> None:
        """Until the socket is closed and every handler has ended."""
        await asyncio.shield(self._lost)
        while self._tasks:
            await asyncio.wait(self._tasks)

    # --- asyncio.DatagramProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def error_received(self, exc: Exception) -> None:
        _log.debug("the system reports about some client: %s", exc)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False

    def connection_lost(self, exc: Exception | None) -> None:
        self.abandon()
        if not self._lost.done():
            self._lost.set_result(None)
        if exc is not None:
            _log.error("the socket of a server of %s failed: %s", self.serves, exc)

    def send(self, datagram: bytes, address: Address) -> None:
        """Hand it to the system, or count it as lost."""
        if self._paused or self.transport.is_closing():
            self.unsent += 1
        else:
            self.transport.sendto(datagram, address)

    # --- handlers

    def _begin_handler(self, connection: EndT, peer: ConnectionPeer) -> None:
        context = copy_context()
        context.run(CONNECTION_PEER.set, peer)
        # Soon, not now: the handler may close, send or open streams, and this is the middle of a step.
        self.loop.call_soon(partial(self._handle, connection), context=context)

    def _handle(self, connection: EndT) -> None:
        try:
            outcome = self._handler(connection)
        except Exception as error:  # noqa: BLE001 (one handler's failure ends its own connection)
            self._failed(error)
            connection.close()
            return
        if inspect.isawaitable(outcome):
            self._run(self._serve(outcome, connection))

    async def _serve(self, handling: Awaitable[None], connection: EndT) -> None:
        try:
            await handling
        except (OSError, Refused, Undecided) as error:
            _log.debug("the connection with %s ended: %s", connection.address, without_frames(error))
        except Exception as error:  # noqa: BLE001 (one handler's failure ends its own connection)
            self._failed(error)
        finally:
            connection.close()

    def _failed(self, error: Exception) -> None:
        self.loop.call_exception_handler(
            {"message": f"a handler of {self.serves} failed", "exception": error, "protocol": self}
        )

    def _run(self, work: Any) -> None:  # noqa: ANN401 (a coroutine)
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
