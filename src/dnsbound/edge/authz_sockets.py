"""Where fronts reach the verify service, and who may: Unix sockets with known users, or loopback TCP with a secret.

A Unix socket is made with its mode and group; a file that is left of a former process gives way, one that somebody
listens on does not, and nothing but a socket is ever removed. Who connects is asked of the kernel (SO_PEERCRED): the
mode of the file is a second bar, not the first.

What this is not: the secret itself, which is a matter of how a question is written (the faces).
"""

import contextlib
import grp
import ipaddress
import os
import pwd
import socket
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dnsbound.edge.listening_endpoint import Endpoint, why_not_bound
from dnsbound.edge.runtime_directory import listens
from dnsbound.errors import Malformed, Misuse

UNIX: Final = "unix:"
_BACKLOG: Final = 1024
_NO_PORT: Final = -1
_LISTENS_SECONDS: Final = 1.0
_CREDENTIALS: Final = struct.Struct("iII")
"""struct ucred: pid, uid, gid (unix(7))."""
_PATH_OCTETS: Final = 107
"""sun_path without its final NUL (unix(7))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixPlace:
    """mode: of the socket's file. group: whose it is; None for the process's own."""

    path: Path
    mode: int = 0o666
    group: int | None = None

    def __str__(self) -> str:
        return f"{UNIX}{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpPlace:
    """An address of this machine. Port 0 takes any that is free."""

    endpoint: Endpoint

    @property
    def is_loopback(self) -> bool:
        return ipaddress.ip_address(self.endpoint.host).is_loopback

    def __str__(self) -> str:
        return str(self.endpoint)


Place = UnixPlace | TcpPlace


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerUsers:
    """Who may connect to a Unix socket, by number. A user or a group is enough."""

    users: frozenset[int] = frozenset()
    groups: frozenset[int] = frozenset()

    def admit(self, connection: socket.socket) -> bool:
        """Whether the process that connected runs as one of them, by what the kernel kept of it at that moment."""
        try:
            octets = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        except OSError:
            return False
        _, user, group = _CREDENTIALS.unpack(octets)
        return user in self.users or group in self.groups


def bind_front(place: Place) -> socket.socket:
    """A listening socket. Misuse, in one line, where there cannot be one."""
    try:
        if isinstance(place, UnixPlace):
            return _bind_unix(place)
        family = socket.AF_INET6 if ":" in place.endpoint.host else socket.AF_INET
        return socket.create_server((place.endpoint.host, place.endpoint.port), family=family, backlog=_BACKLOG)
    except FileNotFoundError as error:
        raise Misuse(f"{place}: there is no such directory for the socket") from error
    except OSError as error:
        raise Misuse(f"{place}: {why_not_bound(error)}") from error


def _bind_unix(place: UnixPlace) -> socket.socket:
    _make_way(place.path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # The file has its mode from its first moment, by that of the descriptor (unix(7)): a chmod of its path would be
        # one of whatever the owner of the directory puts there meanwhile. Nobody can connect before it listens.
        os.fchmod(bound.fileno(), place.mode)
        former = os.umask(0)
        try:
            bound.bind(str(place.path))
        finally:
            os.umask(former)
        if place.group is not None:
            os.chown(place.path, -1, place.group, follow_symlinks=False)
        bound.listen(_BACKLOG)
    except BaseException:
        bound.close()
        raise
    return bound


def _make_way(path: Path) -> None:
    """Take away the socket of a process that is gone. Misuse for anything else that is there."""
    if len(os.fsencode(path)) > _PATH_OCTETS:
        raise Misuse(f"{path}: the path of a Unix socket has {_PATH_OCTETS} octets at most")
    try:
        is_socket = stat.S_ISSOCK(path.lstat().st_mode)
    except FileNotFoundError:
        return
    if not is_socket:
        raise Misuse(f"{path}: there is something else than a socket")
    if listens(path, seconds=_LISTENS_SECONDS):
        raise Misuse(f"{path}: another process listens there")
    path.unlink(missing_ok=True)


def remove_socket(place: Place, bound: socket.socket) -> None:
    """Close it, and take its file away unless somebody else listens there by now."""
    bound.close()
    if isinstance(place, UnixPlace):
        with contextlib.suppress(OSError, Misuse):
            _make_way(place.path)


def place_of(text: str, *, mode: int, group: int | None) -> Place:
    """`unix:/run/dnsbound/nginx.sock` or `127.0.0.1:9301`. Malformed."""
    if not text.startswith(UNIX):
        endpoint = Endpoint.parse(text, port=_NO_PORT)
        if endpoint.port == _NO_PORT:
            raise Malformed(f"{text!r} is neither unix:PATH nor ADDRESS:PORT")
        return TcpPlace(endpoint=endpoint)
    path = Path(text.removeprefix(UNIX))
    if not path.is_absolute():
        raise Malformed(f"{text!r}: the path of a socket is absolute")
    return UnixPlace(path=path, mode=mode, group=group)


def group_of(text: str) -> int:
    """The number of a group, by its name or number. Malformed for one that is not there."""
    try:
        return int(text) if text.isdecimal() else grp.getgrnam(text).gr_gid
    except KeyError:
        raise Malformed(f"there is no group {text!r}") from None


def user_of(text: str) -> int:
    """The number of a user, by name or number. Malformed for one that is not there."""
    try:
        return int(text) if text.isdecimal() else pwd.getpwnam(text).pw_uid
    except KeyError:
        raise Malformed(f"there is no user {text!r}") from None
