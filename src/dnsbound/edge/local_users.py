"""Which user of this machine a local connection comes from, as Linux tells it.

Of a Unix socket the kernel keeps who connected (SO_PEERCRED, unix(7)). Of a TCP connection over loopback it tells no
end, but /proc/net/tcp lists whose each socket is: the peer's is the one whose own address is our peer's. A socket that
no process holds any more is listed as root's, without an inode: it is nobody's here, or whoever closes his in time
would be root.

What this is not: who sent an octet. A process may hand a connection on to another.
"""

import ipaddress
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dnsbound.edge.authz_sockets import PeerUsers
from dnsbound.errors import Malformed

_TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_OWN, _PEER, _USER, _INODE = 1, 2, 7, 9
"""Columns of proc_net_tcp, in the kernel's documentation."""

_Ends = tuple[tuple[bytes, int], tuple[bytes, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalUsers:
    """users: who may connect, by number."""

    users: frozenset[int]

    def admit(self, connection: socket.socket, tables: tuple[Path, ...] = _TABLES) -> bool:
        """Whether the other end of an accepted connection is a socket of one of them; False where the system does not
        tell."""
        if connection.family == socket.AF_UNIX:
            return PeerUsers(users=self.users).admit(connection)
        try:
            return user_of_peer(connection.getpeername(), connection.getsockname(), tables) in self.users
        except (OSError, Malformed):
            return False


def user_of_peer(peer: tuple[str, int], own: tuple[str, int], tables: tuple[Path, ...] = _TABLES) -> int | None:
    """The user whose socket is at the other end of a loopback connection; None where nobody holds it. OSError where the
    system does not tell, Malformed where it tells something else."""
    wanted = _end(peer), _end(own)
    for table in tables:
        # A system without IPv6 has no second table.
        if table is not tables[0] and not table.exists():
            continue
        for line in table.read_text().splitlines()[1:]:
            columns = line.split()
            try:
                if _ends(columns) == wanted and columns[_INODE] != "0":
                    return int(columns[_USER])
            except (IndexError, ValueError) as error:
                raise Malformed(f"{table}: a line that is none: {line[:80]!r}") from error
    return None


def _end(address: tuple[str, int]) -> tuple[bytes, int]:
    return _plain(ipaddress.ip_address(address[0].partition("%")[0]).packed), address[1]


def _ends(columns: list[str]) -> _Ends:
    (own, own_port), (peer, peer_port) = columns[_OWN].split(":"), columns[_PEER].split(":")
    return (_address(own), int(own_port, 16)), (_address(peer), int(peer_port, 16))


def _address(text: str) -> bytes:
    """The tables print each 32 bits as a number of this machine, whose octets are the other way round."""
    words = bytes.fromhex(text)
    if len(words) not in {4, 16}:
        raise ValueError("neither IPv4 nor IPv6")
    if sys.byteorder == "little":
        words = b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4))
    return _plain(words)


def _plain(packed: bytes) -> bytes:
    """An IPv4 address where an IPv6 one maps it."""
    return packed[12:] if len(packed) == 16 and packed[:12] == b"\0" * 10 + b"\xff\xff" else packed
