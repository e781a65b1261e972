"""Where the processes of one machine find each other: a directory of Unix sockets.

`DNSBOUND_RUNTIME`, or `/run/dnsbound` for root, or `dnsbound` in `$XDG_RUNTIME_DIR`; `/run/dnsbound` again for users
who have none, such as those of services (systemd: `RuntimeDirectory=dnsbound`). XDG Base Directory Specification 0.8.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from dnsbound.errors import Misuse

VARIABLE: Final = "DNSBOUND_RUNTIME"
SYSTEM: Final = Path("/run/dnsbound")
_PATH_OCTETS: Final = 107
"""Of a Unix socket's address (unix(7)); longer ones are gone by way of the directory's descriptor."""
_DESCRIPTORS: Final = Path("/proc/self/fd")


def runtime_directory() -> Path:
    """The directory, whether or not it is there. Misuse for a variable that holds no absolute path."""
    said = os.environ.get(VARIABLE)
    if said:
        if not Path(said).is_absolute():
            raise Misuse(f"{VARIABLE} is {said!r}, which is no absolute path")
        return Path(said)
    of_user = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.geteuid() == 0 or not Path(of_user).is_absolute():
        return SYSTEM
    return Path(of_user) / "dnsbound"


def made_runtime_directory(directory: Path) -> Path:
    """The same, made where it is missing. Misuse, in one line, where it cannot be."""
    try:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise Misuse(
            f"{directory}: {(error.strerror or str(error)).lower()}; {VARIABLE} names another directory"
        ) from error
    return directory


@contextmanager
def address_of(path: Path) -> Iterator[str]:
    """What to bind or connect a socket to so that it is this path, however long the path is. OSError."""
    if len(os.fsencode(path)) <= _PATH_OCTETS:
        yield str(path)
        return
    if not _DESCRIPTORS.is_dir():
        raise OSError(0, f"the path is longer than {_PATH_OCTETS} octets", str(path))
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield str(_DESCRIPTORS / str(directory) / path.name)
    finally:
        os.close(directory)


def listens(path: Path, *, seconds: float) -> bool:
    """Whether anybody would answer at a socket. True where that cannot be found out."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(seconds)
        try:
            with address_of(path) as address:
                asking.connect(address)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
    return True
