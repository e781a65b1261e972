"""Where a gate's back end is: `unix:PATH`, `127.0.0.1:1883` or `[::1]:1883`.

Anything further away would carry in clear, over a network, what the gate has just taken out of TLS, and would be open
to whoever else reaches it; that is `danger_unsafe_target`.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from dnsbound.edge.listening_endpoint import Endpoint
from dnsbound.errors import Malformed

UNIX: Final = "unix:"
_ADDRESS: Final = re.compile(r"(\[[^\]]+\]|[^:\[\]]+):([0-9]{1,5})")
MAX_UNIX_OCTETS: Final = 107
"""Of a socket's path on Linux, sockaddr_un without its end."""
_FULL_SECONDS: Final = 0.02
"""Between two tries at a Unix socket whose queue is full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """path: of a Unix socket, None for TCP. endpoint: None for a Unix socket."""

    path: Path | None = None
    endpoint: Endpoint | None = None

    @classmethod
    def parse(cls, text: str, *, danger_unsafe: bool = False) -> Self:
        """Malformed. danger_unsafe: addresses of other machines too."""
        if text.startswith(UNIX):
            path = Path(text.removeprefix(UNIX))
            if not path.is_absolute() or len(str(path).encode()) > MAX_UNIX_OCTETS:
                raise Malformed(f"{text!r}: the path of a socket is absolute, and at most {MAX_UNIX_OCTETS} octets")
            return cls(path=path)
        endpoint = address_and_port(text)
        if not danger_unsafe and not ipaddress.ip_address(endpoint.host).is_loopback:
            raise Malformed(
                f"{text!r} is not on this machine: unix:PATH or a loopback address, or danger_unsafe_target"
            )
        return cls(endpoint=endpoint)

    async def connect(self, protocol: Callable[[], asyncio.BaseProtocol]) -> asyncio.Transport:
        """OSError."""
        loop = asyncio.get_running_loop()
        if self.path is not None:
            connected = await _connected(self.path)
            try:
                transport, _ = await loop.create_unix_connection(protocol, sock=connected)
            except BaseException:
                connected.close()
                raise
        else:
            assert self.endpoint is not None
            transport, _ = await loop.create_connection(protocol, self.endpoint.host, self.endpoint.port)
        return transport

    def __str__(self) -> str:
        return f"{UNIX}{self.path}" if self.path is not None else str(self.endpoint)


async def _connected(path: Path) -> socket.socket:
    """A Unix socket whose queue is full refuses for the moment, which nothing tells the end of (connect(2), EAGAIN).
    asyncio takes that for a connection."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.setblocking(False)  # noqa: FBT003 (socket takes it by position alone)
        while True:
            try:
                made.connect(str(path))
            except BlockingIOError:
                await asyncio.sleep(_FULL_SECONDS)
            else:
                return made
    except BaseException:
        made.close()
        raise


def address_and_port(text: str) -> Endpoint:
    """`192.0.2.1:8883` or `[2001:db8::1]:8883`; `localhost` is 127.0.0.1. Malformed, also without a port."""
    found = _ADDRESS.fullmatch(text)
    if found is None:
        raise Malformed(f"{text!r} is neither ADDRESS:PORT nor [ADDRESS]:PORT")
    return Endpoint.parse(f"127.0.0.1:{found[2]}" if found[1] == "localhost" else text, port=0)
