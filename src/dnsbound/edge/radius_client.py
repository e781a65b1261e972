"""A RADIUS client over UDP: requests that are repeated until they are answered or given up.

    async with await UdpRadiusClient.open("192.0.2.1", 1812, secret) as client:
        answered = await client.ask(RadiusCode.ACCESS_REQUEST, attributes)

A repetition that is the same packet keeps its identifier, authenticator and source port, so that the server knows it
for one; a changed packet is a new one (RFC 5080 sections 2.2.1 and 2.2.2). 256 requests are under way on a source port;
more ports are opened as they are needed. ICMP errors are as easy to forge as UDP: they are kept as the cause that a
timeout shows. Clients over TLS and DTLS are `radius_client_tls` and `radius_client_dtls`. Sections: RFC 2865 sections 3
and 4; RFC 5080 section 2.2.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, Protocol, Self, TypeAlias, cast

from dnsbound.edge.radius_pending import Answered, Begun, Pending
from dnsbound.iana import RadiusCode
from dnsbound.limits import RADIUS_SOURCE_PORTS
from dnsbound.protocols.radius_attributes import Attributes
from dnsbound.protocols.radius_exchange import IDENTIFIERS, Patience, Retransmission

if TYPE_CHECKING:
    from dnsbound.protocols.radius import RadiusPacket

Renew: TypeAlias = Callable[[], Attributes]
"""Attributes of a request that change as time passes (Acct-Delay-Time, Event-Timestamp); asked for at each sending."""


class RadiusAsker(Protocol):
    """A client over whatever transport."""

    @property
    def secret(self) -> bytes:
        """Shared with the server: `radsec` and `radius/dtls` where TLS protects."""

    def ask(
        self, code: RadiusCode, attributes: Attributes | Renew, *, patience: Patience | None = None
    ) -> Awaitable[Answered]: ...

    async def aclose(self) -> None: ...


def chance() -> float:
    """From -1 to 1, for waits; nothing secret depends on it."""
    return random.uniform(-1.0, 1.0)  # noqa: S311 (as it says)


class Repeated:
    """One request that is sent over datagrams until it is answered. begin: registers a packet; send: sends one."""

    def __init__(
        self,
        pending: Pending,
        send: Callable[[bytes], None],
        patience: Patience,
        *,
        cause: Callable[[], BaseException | None],
    ) -> None:
        self._pending = pending
        self._send = send
        self._patience = patience
        self._cause = cause
        self._packets: list[tuple[Attributes, Begun]] = []

    async def answered(self, code: RadiusCode, attributes: Attributes | Renew) -> Answered:
        """TimeoutError when nobody answers in time, ConnectionError when the transport is gone."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[tuple[RadiusPacket, Begun]] = loop.create_future()
        started = loop.time()
        turn = Retransmission(self._patience, now=started, chance=chance())
        try:
            self._send_one(code, attributes, answer)
            while True:
                await asyncio.wait([answer], timeout=max(turn.due - loop.time(), 0.0))
                if answer.done():
                    packet, begun = answer.result()
                    return Answered(
                        packet=packet,
                        request_authenticator=begun.authenticator,
                        sent=turn.sent,
                        seconds=loop.time() - started,
                    )
                if not turn.send_again(now=loop.time(), chance=chance()):
                    said = "once" if turn.sent == 1 else f"{turn.sent} times"
                    raise TimeoutError(
                        f"no answer within {loop.time() - started:.1f} s (sent {said})"
                    ) from self._cause()
                self._send_one(code, attributes, answer)
        finally:
            if answer.done() and not answer.cancelled():
                answer.exception()  # Looked at, so that nobody is told of it later.
            for _, begun in self._packets:
                self._pending.end(begun)

    def _send_one(
        self, code: RadiusCode, attributes: Attributes | Renew, answer: "asyncio.Future[tuple[RadiusPacket, Begun]]"
    ) -> None:
        now = attributes() if callable(attributes) else attributes
        if not self._packets or list(self._packets[-1][0]) != list(now):
            begun = self._pending.begin(code, now, answer)
            if begun is not None:
                self._packets.append((now, begun))
            elif not self._packets:
                raise ConnectionError("every identifier of this source port is in use")
        self._send(self._packets[-1][1].octets)


class _SourcePort(asyncio.DatagramProtocol):
    """One socket that is connected to the server."""

    def __init__(self, secret: bytes, loop: asyncio.AbstractEventLoop) -> None:
        self.pending: Final = Pending(secret)
        self.reported: Exception | None = None
        """What the system last said of the path."""
        self.reserved = 0
        """Requests that were given this port."""
        self.gone: asyncio.Future[None] = loop.create_future()
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 (the socket is connected)
        self.pending.receive(data)

    def error_received(self, exc: Exception) -> None:
        self.reported = exc

    def connection_lost(self, exc: Exception | None) -> None:
        self.pending.fail(exc or ConnectionAbortedError("the RADIUS client was closed"))
        if not self.gone.done():
            self.gone.set_result(None)

    def send(self, octets: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.sendto(octets)


class UdpRadiusClient:
    """Asks one server. Any number of tasks may ask at once; those that find no identifier wait for one."""

    def __init__(self, host: str, port: int, secret: bytes, *, patience: Patience, source_ports: int) -> None:
        """For `open`."""
        self._host = host
        self._port = port
        self._secret = secret
        self._patience = patience
        self._most_ports = source_ports
        self._ports: list[_SourcePort] = []
        self._room = asyncio.Semaphore(source_ports * IDENTIFIERS)
        self._opening = asyncio.Lock()
        self._closed = False

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        secret: bytes,
        *,
        patience: Patience | None = None,
        source_ports: int | None = None,
    ) -> Self:
        """host: an address or a name. patience: how requests are repeated. OSError where there is no such host."""
        most = RADIUS_SOURCE_PORTS.checked(source_ports)
        client = cls(host, port, secret, patience=patience or Patience(), source_ports=most)
        await client._open_port()
        return client

    @property
    def secret(self) -> bytes:
        return self._secret

    @property
    def passed_over(self) -> int:
        """Packets that answered nothing under way, late answers among them."""
        return sum(port.pending.passed_over for port in self._ports)

    @property
    def bad(self) -> int:
        """Answers whose authenticators did not hold, or that did not parse."""
        return sum(port.pending.bad for port in self._ports)

    async def ask(
        self, code: RadiusCode, attributes: Attributes | Renew, *, patience: Patience | None = None
    ) -> Answered:
        """The server's answer. TimeoutError when there is none; ConnectionError after `aclose`; Misuse for what is no
        request."""
        async with self._room:
            port = await self._free_port()
            port.reserved += 1
            try:
                request = Repeated(port.pending, port.send, patience or self._patience, cause=lambda: port.reported)
                return await request.answered(code, attributes)
            finally:
                port.reserved -= 1

    async def _free_port(self) -> _SourcePort:
        async with self._opening:
            if self._closed:
                raise ConnectionAbortedError("the RADIUS client was closed")
            for port in self._ports:
                if port.reserved < IDENTIFIERS:
                    return port
            return await self._open_port()

    async def _open_port(self) -> _SourcePort:
        loop = asyncio.get_running_loop()
        _, port = await loop.create_datagram_endpoint(
            lambda: _SourcePort(self._secret, loop), remote_addr=(self._host, self._port)
        )
        self._ports.append(port)
        return port

    async def aclose(self) -> None:
        """Close the sockets; what is under way fails."""
        self._closed = True
        for port in self._ports:
            port.transport.close()
        for port in self._ports:
            await port.gone

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.aclose()
