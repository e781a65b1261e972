"""A RADIUS client over TLS (RadSec): one connection, many requests under way, a watchdog.

    async with await TlsRadiusClient.open("radius.isp.example", 2083, context) as client:
        answered = await client.ask(RadiusCode.ACCESS_REQUEST, attributes)

The context says who this client is and how the server is believed: `Context.client` with certificate authorities, with
TLSA records (`prepare` comes first) or with a pinned key (`pinned_server`). A stream repeats nothing by itself, so a
request is sent once. A connection that ended is opened again at the next request, but not before waits that grow with
each failure. One over which something unsound came is closed (RFC 6613 section 2.6.4). Sections: RFC 6614 sections 2.1
to 2.3 and 3.4; RFC 6613 sections 2.4 and 2.6; RFC 3539 section 3.4.1.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable
from typing import Final, Self, TypeAlias

from dnsbound.edge.radius_client import Renew, chance
from dnsbound.edge.radius_pending import Answered, Begun, Pending, code_of
from dnsbound.errors import DnsboundError, PeerError
from dnsbound.iana import ErrorCause, RadiusCode
from dnsbound.protocols.radius import ANSWERS, RadiusPacket, read_request
from dnsbound.protocols.radius_attributes import Attributes
from dnsbound.protocols.radius_dynamic import REQUESTS, dynamic_answer
from dnsbound.protocols.radius_exchange import IDENTIFIERS, Alarm, Patience, Watchdog
from dnsbound.protocols.radius_stream import PacketStream
from dnsbound.times import Seconds

SECRET: Final = b"radsec"
"""RFC 6614 section 2.3: TLS protects; the obsolete computations go on with this one."""
PORT: Final = 2083
"""RFC 6614 section 2.1."""
CONNECT_SECONDS: Final[Seconds] = 10.0
"""For the connection and the handshake together."""
BACKOFF_FIRST: Final[Seconds] = 0.5
BACKOFF_LONGEST: Final[Seconds] = 60.0
"""RFC 6614 section 2.3: waits between attempts to connect grow."""
READ_OCTETS: Final = 65_536
REQUESTS_AT_ONCE: Final = IDENTIFIERS - 1
"""Under way on a connection: one identifier is the watchdog's."""

OnRequest: TypeAlias = Callable[[bytes], bytes | None]
"""Takes a request that the server sent over the connection, and gives the answer to it."""

_ANSWER_CODES: Final = frozenset(int(code) for code in RadiusCode if not ANSWERS[code])

_log: Final = logging.getLogger("dnsbound.radius")


def _not_wanted(octets: bytes) -> bytes | None:
    """RFC 6614 section 2.5: a NAK, so that whoever asked knows."""
    request = read_request(octets, SECRET)
    if request.code not in REQUESTS:
        return None
    return dynamic_answer(request, SECRET, cause=ErrorCause.UNSUPPORTED_EXTENSION)


class _Line:
    """One connection that is open, until it ends."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        on_request: OnRequest,
        watchdog: int | None,
    ) -> None:
        self.pending: Final = Pending(SECRET)
        self.room: Final = asyncio.Semaphore(REQUESTS_AT_ONCE)
        self.error: Exception | None = None
        """Why it ended, once it has."""
        self._reader = reader
        self._writer = writer
        self._on_request = on_request
        self._loop = asyncio.get_running_loop()
        self._dog = Watchdog(watchdog, now=self._loop.time(), chance=chance())
        self.tasks: Final = [self._loop.create_task(self._read()), self._loop.create_task(self._watch())]

    @property
    def is_open(self) -> bool:
        return self.error is None

    async def ask(self, code: RadiusCode, attributes: Attributes, seconds: Seconds) -> Answered:
        async with self.room:
            if self.error is not None:
                raise ConnectionResetError(str(self.error)) from self.error
            started = self._loop.time()
            answer: asyncio.Future[tuple[RadiusPacket, Begun]] = self._loop.create_future()
            begun = self.pending.begin(code, attributes, answer)
            assert begun is not None  # there is room for fewer than there are identifiers
            try:
                async with asyncio.timeout(seconds):
                    self._writer.write(begun.octets)
                    await self._writer.drain()
                    packet, _ = await answer
            except TimeoutError:
                raise TimeoutError(f"no answer within {seconds:g} s") from None
            finally:
                if answer.done() and not answer.cancelled():
                    answer.exception()
                self.pending.end(begun)
            return Answered(
                packet=packet,
                request_authenticator=begun.authenticator,
                sent=1,
                seconds=self._loop.time() - started,
            )

    def end(self, error: Exception) -> None:
        """Close it; what is under way fails. The first reason stands."""
        if self.error is not None:
            return
        self.error = error
        self.pending.fail(error)
        self._writer.close()
        for task in self.tasks:
            if task is not asyncio.current_task():
                task.cancel()

    async def wait_closed(self) -> None:
        await asyncio.wait(self.tasks)
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _read(self) -> None:
        try:
            await self._take_all(PacketStream())
            self.end(ConnectionResetError("the RADIUS server closed the connection"))
        except (OSError, DnsboundError) as error:
            self.end(error)
        except Exception as error:  # noqa: BLE001 (whatever `on_request` does, nobody is left waiting)
            _log.error("a request of the RADIUS server could not be answered", exc_info=error)
            self.end(error)

    async def _take_all(self, stream: PacketStream) -> None:
        while octets := await self._reader.read(READ_OCTETS):
            for packet in stream.receive(octets):
                self._dog.heard(now=self._loop.time(), chance=chance())
                self._take(packet)
            if stream.broken is not None:
                raise stream.broken
        stream.finish()

    def _take(self, packet: bytes) -> None:
        if code_of(packet) in _ANSWER_CODES:
            if not self.pending.receive(packet):
                raise PeerError("an answer that does not hold came over the connection")
            return
        answer = self._on_request(packet)
        if answer is None:
            raise PeerError(f"a packet of code {code_of(packet)} came over the connection")
        self._writer.write(answer)

    async def _watch(self) -> None:
        """RFC 3539 section 3.4.1: no sign of life after two intervals is the end."""
        while self.is_open:
            await asyncio.sleep(max(self._dog.due - self._loop.time(), 0.0))
            if self._dog.due > self._loop.time():
                continue
            if self._dog.bark(now=self._loop.time(), chance=chance()) is Alarm.DEAD:
                self.end(TimeoutError("the RADIUS server answers no more"))
            else:
                self._send_watchdog()

    def _send_watchdog(self) -> None:
        answer: asyncio.Future[tuple[RadiusPacket, Begun]] = self._loop.create_future()
        begun = self.pending.begin(RadiusCode.STATUS_SERVER, (), answer)
        if begun is None:
            return  # The one before it waits as well.
        answer.add_done_callback(lambda _: answer.exception())
        self._loop.call_later(self._dog.due - self._loop.time(), self._give_back, begun)
        self._writer.write(begun.octets)

    def _give_back(self, begun: Begun) -> None:
        if not begun.answer.done():
            begun.answer.set_exception(TimeoutError("no answer to the watchdog"))
        self.pending.end(begun)


class TlsRadiusClient:
    """Asks one server. Any number of tasks may ask at once; those beyond 255 wait."""

    def __init__(
        self,
        host: str,
        port: int,
        context: ssl.SSLContext,
        *,
        server_hostname: str | None,
        patience: Patience,
        on_request: OnRequest,
        watchdog: int | None,
    ) -> None:
        """For `open`."""
        self._host = host
        self._port = port
        self._context = context
        self._name = host if server_hostname is None else server_hostname
        self._patience = patience
        self._on_request = on_request
        self._watchdog = watchdog
        self._line: _Line | None = None
        self._connecting = asyncio.Lock()
        self._failures = 0
        self._not_before: Seconds = 0.0
        self._closed = False

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        context: ssl.SSLContext,
        *,
        server_hostname: str | None = None,
        patience: Patience | None = None,
        on_request: OnRequest = _not_wanted,
        watchdog: int | None = None,
    ) -> Self:
        """server_hostname: the server's name where `host` is not it. patience: its `seconds` are how long an answer may
        take. on_request: answers what the server asks in the other direction, by default that this is not wanted here;
        None from it ends the connection. watchdog: seconds of silence after which the server is asked. Raises an
        `ssl.SSLError` or OSError when there is no connection."""
        client = cls(
            host,
            port,
            context,
            server_hostname=server_hostname,
            patience=patience or Patience(),
            on_request=on_request,
            watchdog=watchdog,
        )
        await client._connected()
        return client

    @property
    def secret(self) -> bytes:
        return SECRET

    @property
    def is_connected(self) -> bool:
        return self._line is not None and self._line.is_open

    async def ask(
        self, code: RadiusCode, attributes: Attributes | Renew, *, patience: Patience | None = None
    ) -> Answered:
        """The server's answer. TimeoutError when there is none in time; another OSError when the connection ends before
        it, or there is none."""
        line = await self._connected()
        now = attributes() if callable(attributes) else attributes
        return await line.ask(code, now, (patience or self._patience).seconds)

    async def _connected(self) -> _Line:
        async with self._connecting:
            if self._closed:
                raise ConnectionAbortedError("the RADIUS client was closed")
            if self._line is not None:
                if self._line.is_open:
                    return self._line
                await self._line.wait_closed()
                _log.info("the RADIUS/TLS connection to %s ended: %s", self._name, self._line.error)
                self._line = None
            loop = asyncio.get_running_loop()
            if loop.time() < self._not_before:
                raise ConnectionError(f"no connection to {self._name}; the next attempt comes in a while")
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    reader, writer = await asyncio.open_connection(
                        self._host, self._port, ssl=self._context, server_hostname=self._name
                    )
            except OSError:
                wait = min(BACKOFF_FIRST * 2**self._failures, BACKOFF_LONGEST)
                self._failures = min(self._failures + 1, 16)
                self._not_before = loop.time() + wait
                raise
            self._failures = 0
            self._line = _Line(reader, writer, self._on_request, self._watchdog)
            return self._line

    async def aclose(self) -> None:
        """Close the connection; what is under way fails."""
        self._closed = True
        if self._line is not None:
            self._line.end(ConnectionAbortedError("the RADIUS client was closed"))
            await self._line.wait_closed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.aclose()
