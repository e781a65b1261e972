"""DTLS on asyncio, the client's side: one connected UDP socket, one association.

    connection = await dnsbound.open_datagram_connection(host, port, context=context)

A refusal arrives as an alert in clear that anybody on the path could have sent or dropped; without it the handshake
ends at its deadline. ICMP errors are as easy to forge: they are kept as the cause that a timeout shows, and end
nothing.
"""

import asyncio
from typing import Any, Final, Self, cast

from dnsbound.edge.context import Context
from dnsbound.edge.datagram_connection import AwaitedEnd
from dnsbound.errors import Misuse
from dnsbound.times import Seconds
from dnsbound.tls.association import Association, Phase
from dnsbound.tls.datagram_transport import DatagramTransport

HANDSHAKE_SECONDS: Final[Seconds] = 60.0
"""RFC 6347's timers need this long to get a flight through a path that loses most of them."""


def client_association(context: Context, server_hostname: str) -> Association:
    """A client's association, before its first flight; Misuse for a Context that is not a client's for datagrams."""
    if context.is_door or not context.datagram:
        raise Misuse("a datagram client needs a Context made with Context.client(..., datagram=True)")
    transport = DatagramTransport()
    return Association(context.client_shim(transport, server_hostname), transport)


class ClientConnection(asyncio.DatagramProtocol, AwaitedEnd):
    """A client's end of an association on an event loop. Made by `open_datagram_connection`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, association: Association) -> None:
        AwaitedEnd.__init__(self, association, None)
        self.transport: asyncio.DatagramTransport
        self.unsent = 0
        """Datagrams that the system would not take at once; they count as lost."""
        self.reported: OSError | None = None
        """What the system last reported about the path (ICMP); anybody may have made it up."""
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False

    # --- for the program

    def send(self, message: bytes) -> None:
        """One message of at most `message_octets`; it may get lost."""
        self._association.send(message)
        self._follow()

    def close(self) -> None:
        """Say close_notify and close the socket."""
        self._association.close()
        self._follow()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.close()

    # --- asyncio.DatagramProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)
        self.address = transport.get_extra_info("peername")

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ANN401, ARG002 (the socket is connected)
        self._association.receive(data)
        self._follow()

    def error_received(self, exc: Exception) -> None:
        if isinstance(exc, OSError):
            self.reported = exc

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (error_received has it)
        self._association.abandon()
        self._follow()

    # --- steps

    async def shake(self, seconds: Seconds) -> None:
        """From the first flight to the server's last; raises why not, TimeoutError when nobody answers in time."""
        try:
            async with asyncio.timeout(seconds):
                self._association.begin()
                self._follow()
                while self._association.phase is Phase.HANDSHAKE:
                    await self._change()
        except TimeoutError:
            raise TimeoutError(f"no association within {seconds:g} s") from self.reported
        if self._association.phase is not Phase.OPEN:
            self._next()
            raise ConnectionResetError("the server closed the association")

    def _follow(self) -> None:
        for datagram in self._association.take():
            if self._paused or self.transport.is_closing():
                self.unsent += 1
            else:
                self.transport.sendto(datagram)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wait = self._association.timeout()
        if wait is not None:
            self._timer = self._loop.call_later(wait, self._look)
        if self._association.phase is Phase.CLOSED:
            self.transport.close()  # nothing more can come, and what came stays readable
        self.wake()

    def _look(self) -> None:
        self._timer = None
        self._association.handle_timeout()
        self._follow()


async def open_datagram_connection(
    host: str,
    port: int,
    *,
    context: Context,
    server_hostname: str | None = None,
    seconds: Seconds = HANDSHAKE_SECONDS,
    **options: Any,  # noqa: ANN401 (those of loop.create_datagram_endpoint)
) -> ClientConnection:
    """An association with the server at `host` and `port`, as an asynchronous context manager that closes.

    context: made with `Context.client(..., datagram=True)`; Misuse for any other. server_hostname: the server's name
    where `host` is not it. seconds: for the whole handshake. Raises an `ssl.SSLError` when the handshake fails, and
    TimeoutError when nobody answers.
    """
    loop = asyncio.get_running_loop()
    association = client_association(context, host if server_hostname is None else server_hostname)
    connection = ClientConnection(loop, association)
    await loop.create_datagram_endpoint(lambda: connection, remote_addr=(host, port), **options)
    try:
        await connection.shake(seconds)
    except BaseException:
        connection.close()
        raise
    return connection
