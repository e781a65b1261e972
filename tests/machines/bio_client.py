"""A TLS client over memory BIOs, for what asyncio's cannot do: end its side alone, or the connection without a word."""

import asyncio
import contextlib
import ssl
from typing import Any, Self

from dnsbound import Context
from machines.gates import SERVER


class BioClient:
    """One connection. Made by `connect`."""

    def __init__(
        self, context: Context, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, session: Any = None
    ) -> None:
        self._reader, self._writer = reader, writer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=SERVER, session=session)

    @classmethod
    async def connect(cls, context: Context, port: int, before: bytes = b"", *, session: Any = None) -> Self:
        """before: what goes before TLS, in clear. session: to resume."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(before)
        made = cls(context, reader, writer, session)
        try:
            await made.shake_hands()
        except OSError:
            await made.close()
            raise
        return made

    @classmethod
    async def is_turned_away(cls, context: Context, port: int, before: bytes = b"", *, session: Any = None) -> bool:
        """Whether a connection ends, in whatever way, before anything is said on it."""
        try:
            client = await cls.connect(context, port, before, session=session)
        except OSError:  # every ssl.SSLError is one
            return True
        try:
            return not await client.read()
        except OSError:
            return True
        finally:
            await client.close()

    async def shake_hands(self) -> None:
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._more()
        await self._send()

    async def _send(self) -> None:
        if octets := self._outgoing.read():
            self._writer.write(octets)
            await self._writer.drain()

    async def _more(self) -> None:
        await self._send()
        octets = await self._reader.read(65_536)
        if octets:
            self._incoming.write(octets)
        elif self._incoming.eof:
            raise ConnectionResetError("the connection has ended")
        else:
            self._incoming.write_eof()

    async def write(self, data: bytes) -> None:
        self.tls.write(data)
        await self._send()

    async def half_close(self) -> None:
        """close_notify, and no end of the socket."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        await self._send()

    async def read(self) -> bytes:
        """What comes next; empty after close_notify. Raises SSLEOFError for an end without one."""
        while True:
            try:
                return self.tls.read(65_536)
            except ssl.SSLWantReadError:
                await self._more()
            except ssl.SSLZeroReturnError:
                return b""

    async def read_all(self) -> bytes:
        """Until close_notify."""
        parts = []
        while part := await self.read():
            parts.append(part)
        return b"".join(parts)

    def vanish(self) -> None:
        """End the socket without a word of TLS."""
        self._writer.transport.abort()

    async def close(self) -> None:
        self._writer.close()
        await asyncio.wait([asyncio.ensure_future(self._closed())])

    async def _closed(self) -> None:
        try:
            await self._writer.wait_closed()
        except OSError:
            return
