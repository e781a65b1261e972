"""DTLS on asyncio, the server's side: one UDP socket, one association for each client that was admitted.

    server = await dnsbound.start_datagram_server(handle, host, port, context=context)

`handle(connection)` is called, or run as a task, for each admitted client; in it `verified_peer()` says who that is.
Any event loop serves; none has to wait inside a callback. Who is known and for how long is `association_table`'s to
say. ICMP errors are anybody's to send and change nothing here.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, Self

from dnsbound.edge.association_table import AssociationTable, DatagramLimits, Served
from dnsbound.edge.authenticator import Authenticator, verdict_at_hand
from dnsbound.edge.context import Context
from dnsbound.edge.context_door import verdict_of
from dnsbound.edge.datagram_acceptor import DatagramAcceptor
from dnsbound.edge.datagram_connection import AwaitedEnd
from dnsbound.edge.serving_socket import ServingSocket
from dnsbound.edge.session_sweep import SessionSweep, sweep_for
from dnsbound.errors import LimitExceeded, Refused, Undecided
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


class DatagramServer(ServingSocket[ServedConnection]):
    """Made by `start_datagram_server`. It is its table's `Host`, and an asynchronous context manager that closes."""

    serves = "datagrams"

    def __init__(
        self, loop: asyncio.AbstractEventLoop, handler: Handler, context: Context, bounds: DatagramLimits | None
    ) -> None:
        super().__init__(loop, handler)
        self._authenticator = context.authenticator
        self._table = AssociationTable(DatagramAcceptor(context), context.handshake_slots, self, bounds=bounds)
        self._timer: asyncio.TimerHandle | None = None

    # --- for the program

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
            self._table.drop(served, self.loop.time())
        self.transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.close()
        await self.wait_closed()

    # --- asyncio.DatagramProtocol

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ANN401 (a socket address)
        self._table.receive(data, addr, self.loop.time())
        self._plan()

    def abandon(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for served in self._table.all():
            served.association.abandon()
            self._table.follow(served, self.loop.time())

    # --- association_table.Host

    def judge(self, served: Served, claim: Claim) -> None:
        """Settle at once by evidence that is at hand, and in a task when the DNS has to be asked."""
        verdict = verdict_at_hand(self._authenticator, claim)
        if verdict is not None:
            self._table.settle(served, verdict, self.loop.time())
            return
        self._run(self._judge(served, claim))

    async def _judge(self, served: Served, claim: Claim) -> None:
        verdict = await verdict_of(self._authenticator, claim)
        self._table.settle(served, verdict, self.loop.time())
        self._plan()

    def opened(self, served: Served, claim: Claim | None) -> None:
        served.handle = ServedConnection(self, served)
        authenticator, peer = self._authenticator, served.peer.peer
        if claim is not None and peer is not None and isinstance(authenticator, Authenticator):
            live = LiveAssociation(self, served, sweep_for(self.loop, authenticator))
            try:
                served.session = live.sweep.register(peer, claim, live)
            except LimitExceeded as error:  # nobody would ask about its name again
                _log.warning("%s is let go: %s", peer.name, error)
                self._table.drop(served, self.loop.time())
                return
        self._begin_handler(served.handle, served.peer)

    def arrived(self, served: Served) -> None:
        served.handle.wake()

    def ended(self, served: Served) -> None:
        if served.session is not None and isinstance(self._authenticator, Authenticator):
            self._authenticator.sessions.remove(served.session)
        # Each of the two leads back here: a ring that only the garbage collector would open.
        handle, served.handle, served.session = served.handle, None, None
        handle.wake()

    # --- steps

    def follow(self, served: Served) -> None:
        """A program did something with its end."""
        self._table.follow(served, self.loop.time())
        self._plan()

    def cut(self, served: Served, reason: Refused | Undecided) -> None:
        self._table.cut(served, reason, self.loop.time())

    def _plan(self) -> None:
        due = self._table.next_due()
        if self._timer is not None:
            if due is not None and self._timer.when() <= due and not self._timer.cancelled():
                return
            self._timer.cancel()
            self._timer = None
        if due is not None and not self.transport.is_closing():
            self._timer = self.loop.call_at(due, self._look)

    def _look(self) -> None:
        self._timer = None
        self._table.run_due(self.loop.time())
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
        loop = self._server.loop
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
