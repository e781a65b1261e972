"""DTLS on asyncio, the server's side: one UDP socket, one association for each client that was admitted.

    server = await dnsbound.start_datagram_server(handle, host, port, context=context)

`handle(connection)` is called, or run as a task, for each admitted client; in it `verified_peer()` says who that is.
Any event loop serves; none has to wait inside a callback. Who is known and for how long is `association_table`'s to
say. ICMP errors are anybody's to send and change nothing here.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from functools import partial
from typing import Any, Final, Self, cast

from dnsbound.edge.association_table import Address, AssociationTable, DatagramLimits, Served
from dnsbound.edge.authenticator import Authenticator, verdict_at_hand
from dnsbound.edge.context import Context
from dnsbound.edge.context_door import verdict_of
from dnsbound.edge.current_peer import CONNECTION_PEER
from dnsbound.edge.datagram_acceptor import DatagramAcceptor
from dnsbound.edge.datagram_connection import AwaitedEnd
from dnsbound.edge.session_sweep import SessionSweep, sweep_for
from dnsbound.errors import LimitExceeded, Refused, Undecided
from dnsbound.tls.errors import without_frames
from dnsbound.verify.claim import Claim
from dnsbound.verify.peer import VerifiedPeer

_log: Final = logging.getLogger("dnsbound.listen")

Handler = Callable[["ServedConnection"], Awaitable[None] | None]


class ServedConnection(AwaitedEnd):
    """A server's end of an association on an event loop."""

    def __init__(self, server: "DatagramServer", served: Served) -> None:
        super().__init__(served.association, served.address, served.peer)
        self._server = server
        self._served = served

    def send(self, message: bytes) -> None:
        """One message of at most `message_octets`; it may get lost."""
        self._association.send(message)
        self._server.follow(self._served)

    def close(self) -> None:
        """Say close_notify and forget the client."""
        self._association.close()
        self._server.follow(self._served)


class DatagramServer(asyncio.DatagramProtocol):
    """Made by `start_datagram_server`. It is its table's `Host`, and an asynchronous context manager that closes."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, handler: Handler, context: Context, bounds: DatagramLimits | None
    ) -> None:
        self.transport: asyncio.DatagramTransport
        """The UDP socket, once it is bound."""
        self.unsent = 0
        """Datagrams that the system would not take at once; they count as lost."""
        self._loop = loop
        self._handler = handler
        self._authenticator = context.authenticator
        self._table = AssociationTable(DatagramAcceptor(context), context.handshake_slots, self, bounds=bounds)
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._paused = False
        self._lost: asyncio.Future[None] = loop.create_future()

    # --- for the program

    @property
    def address(self) -> Address:
        """Where it listens."""
        return self.transport.get_extra_info("sockname")

    @property
    def turned_away(self) -> int:
        """Datagrams of new clients that found a limit reached."""
        return self._table.turned_away

    def __len__(self) -> int:
        """How many associations there are, unfinished ones included."""
        return len(self._table)

    def close(self) -> None:
        """Say close_notify to every client and close the socket."""
        for served in self._table.all():
            self._table.drop(served, self._loop.time())
        self.transport.close()

    async def wait_closed(self) -> None:
        """Until the socket is closed and every handler has ended."""
        await asyncio.shield(self._lost)
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.close()
        await self.wait_closed()

    # --- asyncio.DatagramProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ANN401 (a socket address)
        self._table.receive(data, addr, self._loop.time())
        self._plan()

    def error_received(self, exc: Exception) -> None:
        _log.debug("the system reports about some client: %s", exc)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for served in self._table.all():
            served.association.abandon()
            self._table.follow(served, self._loop.time())
        if not self._lost.done():
            self._lost.set_result(None)
        if exc is not None:
            _log.error("the socket of a datagram server failed: %s", exc)

    # --- association_table.Host

    def send(self, datagram: bytes, address: Address) -> None:
        if self._paused or self.transport.is_closing():
            self.unsent += 1
        else:
            self.transport.sendto(datagram, address)

    def judge(self, served: Served, claim: Claim) -> None:
        """Settle at once by evidence that is at hand, and in a task when the DNS has to be asked."""
        verdict = verdict_at_hand(self._authenticator, claim)
        if verdict is not None:
            self._table.settle(served, verdict, self._loop.time())
            return
        self._run(self._judge(served, claim))

    async def _judge(self, served: Served, claim: Claim) -> None:
        verdict = await verdict_of(self._authenticator, claim)
        self._table.settle(served, verdict, self._loop.time())
        self._plan()

    def opened(self, served: Served, claim: Claim | None) -> None:
        served.handle = ServedConnection(self, served)
        authenticator, peer = self._authenticator, served.peer.peer
        if claim is not None and peer is not None and isinstance(authenticator, Authenticator):
            live = LiveAssociation(self, served, sweep_for(self._loop, authenticator))
            try:
                served.session = live.sweep.register(peer, claim, live)
            except LimitExceeded as error:  # nobody would ask about its name again
                _log.warning("%s is let go: %s", peer.name, error)
                self._table.drop(served, self._loop.time())
                return
        context = copy_context()
        context.run(CONNECTION_PEER.set, served.peer)
        # Soon, not now: the handler may close or send, and this is the middle of a step.
        self._loop.call_soon(partial(self._handle, served.handle), context=context)

    def arrived(self, served: Served) -> None:
        served.handle.wake()

    def ended(self, served: Served) -> None:
        if served.session is not None and isinstance(self._authenticator, Authenticator):
            self._authenticator.sessions.remove(served.session)
        # Each of the two leads back here: a ring that only the garbage collector would open.
        handle, served.handle, served.session = served.handle, None, None
        handle.wake()

    # --- steps

    def _handle(self, connection: ServedConnection) -> None:
        outcome = self._handler(connection)
        if inspect.isawaitable(outcome):
            self._run(self._serve(outcome, connection))

    async def _serve(self, handling: Awaitable[None], connection: ServedConnection) -> None:
        try:
            await handling
        except (OSError, Refused, Undecided) as error:
            _log.debug("the association with %s ended: %s", connection.address, without_frames(error))
        except Exception as error:  # noqa: BLE001 (one handler's failure ends its own association)
            self._loop.call_exception_handler(
                {"message": "a handler of datagrams failed", "exception": error, "protocol": self}
            )
        finally:
            connection.close()

    def _run(self, work: Any) -> None:  # noqa: ANN401 (a coroutine)
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def follow(self, served: Served) -> None:
        """A program did something with its end."""
        self._table.follow(served, self._loop.time())
        self._plan()

    def cut(self, served: Served, reason: Refused | Undecided) -> None:
        self._table.cut(served, reason, self._loop.time())

    def _plan(self) -> None:
        due = self._table.next_due()
        if self._timer is not None:
            if due is not None and self._timer.when() <= due and not self._timer.cancelled():
                return
            self._timer.cancel()
            self._timer = None
        if due is not None and not self.transport.is_closing():
            self._timer = self._loop.call_at(due, self._look)

    def _look(self) -> None:
        self._timer = None
        self._table.run_due(self._loop.time())
        self._plan()


class LiveAssociation:
    """A session's handle (`session_sweep.LiveConnection`)."""

    def __init__(self, server: DatagramServer, served: Served, sweep: SessionSweep) -> None:
        self.sweep = sweep
        self._server = server
        self._served = served

    def renewed(self, peer: VerifiedPeer) -> None:
        self._served.peer.peer = peer

    def cut(self, reason: Refused | Undecided) -> None:
        loop = self._server._loop  # noqa: SLF001 (the two classes are one machine)
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._server.cut, self._served, reason)


async def start_datagram_server(
    handler: Handler,
    host: str | None = None,
    port: int = 0,
    *,
    context: Context,
    bounds: DatagramLimits | None = None,
    **options: Any,  # noqa: ANN401 (those of loop.create_datagram_endpoint)
) -> DatagramServer:
    """Serve associations to clients that `context` admits, on whatever event loop is running.

    handler(connection) is called, or run as a task, for each; its association is closed when the task ends. context:
    made with `Context.server(..., datagram=True)`; Misuse for any other. bounds: how many and for how long. options:
    sock, family, reuse_port, ... of `loop.create_datagram_endpoint`.
    """
    loop = asyncio.get_running_loop()
    server = DatagramServer(loop, handler, context, bounds)
    if "sock" not in options:
        options["local_addr"] = (host or "0.0.0.0", port)  # noqa: S104 (what a server without a host means)
    await loop.create_datagram_endpoint(lambda: server, **options)
    return server
