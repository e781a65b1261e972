"""A RADIUS client over DTLS: one association, requests repeated as over UDP.

    async with await DtlsRadiusClient.open("192.0.2.1", 2083, context, server_hostname="radius.isp.example") as client:
        answered = await client.ask(RadiusCode.ACCESS_REQUEST, attributes)

The context is `Context.client(..., datagram=RADIUS_DATAGRAMS, clear_name_to=[server])`: DTLS 1.2 shows this client's
name and certificate in clear. DTLS repeats its handshake alone, so a request that gets lost is this client's to repeat
(RFC 5080 section 2.2.1). The handshake's own answers are the engine's. An association whose server has gone silent is
found out by the requests that are not answered, or by Status-Server (`ask`). Sections: RFC 7360 sections 2.1, 3.1, 4
and 5.2.
"""

import asyncio
from typing import Any, Final, Self

from dnsbound.edge.context import Context
from dnsbound.edge.context_datagram import Datagrams
from dnsbound.edge.datagram_client import ClientConnection, open_datagram_connection
from dnsbound.edge.radius_client import Renew, Repeated
from dnsbound.edge.radius_pending import Answered, Pending
from dnsbound.errors import LimitExceeded, Misuse
from dnsbound.iana import RadiusCode
from dnsbound.protocols.radius_attributes import Attributes
from dnsbound.protocols.radius_exchange import IDENTIFIERS, Patience
from dnsbound.times import Seconds

SECRET: Final = b"radius/dtls"
"""RFC 7360 section 2.1."""
PORT: Final = 2083
"""RFC 7360 section 3.1, over UDP."""
RADIUS_DATAGRAMS: Final = Datagrams(octets=1400)
"""EAP's own fragments already take a link for granted that carries so much (RFC 3579 section 2.4)."""
CONNECT_SECONDS: Final[Seconds] = 10.0


class DtlsRadiusClient:
    """Asks one server. Any number of tasks may ask at once; those beyond 256 wait."""

    def __init__(self, connection: ClientConnection, patience: Patience) -> None:
        """For `open`."""
        self._connection = connection
        self._patience = patience
        self._pending: Final = Pending(SECRET)
        self._room = asyncio.Semaphore(IDENTIFIERS)
        self._reading = asyncio.get_running_loop().create_task(self._read())

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        context: Context,
        *,
        server_hostname: str | None = None,
        patience: Patience | None = None,
        seconds: Seconds = CONNECT_SECONDS,
        **options: Any,  # noqa: ANN401 (those of loop.create_datagram_endpoint)
    ) -> Self:
        """server_hostname: the server's name where `host` is not it. seconds: for the handshake. Raises an
        `ssl.SSLError` when it fails and TimeoutError when nobody answers."""
        connection = await open_datagram_connection(
            host, port, context=context, server_hostname=server_hostname, seconds=seconds, **options
        )
        return cls(connection, patience or Patience())

    @property
    def secret(self) -> bytes:
        return SECRET

    @property
    def is_connected(self) -> bool:
        return self._connection.is_open

    async def ask(
        self, code: RadiusCode, attributes: Attributes | Renew, *, patience: Patience | None = None
    ) -> Answered:
        """The server's answer. TimeoutError when there is none; ConnectionError when the association ends before it;
        Misuse for a request that fits no datagram."""
        async with self._room:
            request = Repeated(
                self._pending, self._send, patience or self._patience, cause=lambda: self._connection.reported
            )
            return await request.answered(code, attributes)

    def _send(self, octets: bytes) -> None:
        if not self._connection.is_open:
            raise ConnectionResetError("the DTLS association has ended")
        try:
            self._connection.send(octets)
        except LimitExceeded as error:
            raise Misuse(f"the request fits no datagram: {error}") from error

    async def _read(self) -> None:
        error: Exception = ConnectionResetError("the RADIUS server closed the association")
        try:
            async for message in self._connection:
                self._pending.receive(message)
        except OSError as broken:
            error = broken
        self._pending.fail(error)

    async def aclose(self) -> None:
        """Say close_notify; what is under way fails."""
        self._connection.close()
        await asyncio.wait([self._reading])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.aclose()
