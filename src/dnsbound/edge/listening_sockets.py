"""Which TCP ports this machine listens on, and where, as Linux tells it (proc_net_tcp in the kernel's documentation).

Of the network namespace of this process alone. What this is not: whose sockets they are, or what a firewall does.
"""

import ipaddress
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dnsbound.errors import Malformed

_TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LISTEN: Final = "0A"
"""TCP_LISTEN of include/net/tcp_states.h."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListeningSocket:
    """host: in text form; `::` and `0.0.0.0` for any address."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Reached from this machine alone."""
        address = ipaddress.ip_address(self.host)
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return (mapped or address).is_loopback


def listening_sockets(tables: tuple[Path, ...] = _TABLES) -> list[ListeningSocket]:
    """OSError where the system does not tell; Malformed where it tells something else."""
    # A system without IPv6 has no second table.
    return [found for table in tables if table.exists() or table is tables[0] for found in _of(table)]


def _of(table: Path) -> Iterator[ListeningSocket]:
    for line in table.read_text().splitlines()[1:]:
        columns = line.split()
        try:
            address, port = columns[1].split(":")
            if columns[3] == _LISTEN:
                yield ListeningSocket(host=_host(bytes.fromhex(address)), port=int(port, 16))
        except (IndexError, ValueError) as error:
            raise Malformed(f"{table}: a line that is none: {line[:80]!r}") from error


def _host(words: bytes) -> str:
    """The table prints each 32 bits of an address as a number of this machine, whose octets are the other way round."""
    if len(words) not in {4, 16}:
        raise ValueError("neither IPv4 nor IPv6")
    if sys.byteorder == "little":
        words = b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4))
    return str(ipaddress.ip_address(words))
