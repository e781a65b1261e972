"""The key file of one zone while a command works on it: locked, made or taken over, taken back.

A key that a registered zone uses is never lost: whoever makes, changes or removes a key file holds the lock of its
directory, and what was made is removed only while no zone uses it. What the keys are for and how they roll
is `ZoneKeys`' to say; how the file is written, `edge.zone_key_files`'.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dnsbound.errors import Malformed, Misuse

if TYPE_CHECKING:
    from dns.dnssectypes import Algorithm
    from dns.name import Name

    from dnsbound.dns.signer import ZoneKeys

_REMEDY: Final = "move the file away, and a new key is made"


@contextmanager
def locked_directory(path: Path) -> Iterator[None]:
    """Keep others from the key files in this directory; they wait. The lock ends with its process. OSError."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


@contextmanager
def keys_of_new_zone(
    path: Path, origin: "Name", algorithm: "Algorithm", *, is_used: Callable[[], bool]
) -> Iterator["tuple[ZoneKeys, bool]"]:
    """The keys of a zone that is about to be registered, in their file; and whether they lay there already, left by a
    command that was killed before it registered them. Misuse when what lies there cannot be used.

    Call it under `locked_directory`. When the block fails, a file that was made here is taken back, unless
    is_used says that a registered zone has it.
    """
    from dnsbound.dns.signer import ZoneKeys
    from dnsbound.edge.secret_files import remove_unfinished
    from dnsbound.edge.zone_key_files import save_zone_keys

    remove_unfinished(path)
    if os.path.lexists(path):
        yield _left_behind(path, origin, algorithm), True
        return
    keys = ZoneKeys.generate(origin, algorithm)
    save_zone_keys(path, keys)
    try:
        yield keys, False
    except BaseException:
        if not is_used():
            path.unlink(missing_ok=True)
        raise


def _left_behind(path: Path, origin: "Name", algorithm: "Algorithm") -> "ZoneKeys":
    from dnsbound.edge.secret_files import read_secret_file
    from dnsbound.edge.zone_key_files import load_zone_keys

    try:
        keys = load_zone_keys(origin, path)
        octets, owner = read_secret_file(path), path.lstat().st_uid
    except (Malformed, Misuse) as error:
        raise Misuse(f"{error}; {_REMEDY}") from None
    if owner != os.geteuid():
        # A file that somebody else planted would be a key that somebody else knows.
        raise Misuse(f"{path}: belongs to another user; {_REMEDY}")
    if keys.to_pem() != octets:
        # Any private key would do for a zone; this one may be the key of something else.
        raise Misuse(f"{path}: is no key file of a zone as this program writes it; {_REMEDY}")
    if any(key.dnskey.algorithm != algorithm for key in keys.keys):
        raise Misuse(f"{path}: holds keys of another algorithm than was asked for; {_REMEDY}")
    return keys
