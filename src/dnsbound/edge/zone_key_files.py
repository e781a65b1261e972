"""Zone keys in files: one PEM file per zone, mode 0600, written whole or not at all.

A file others may read is not loaded: its key has to be taken for known. The text is `ZoneKeys.to_pem`, PKCS#8 blocks
under a line each that says what the key is for. Nothing here makes keys or decides about rolls.
"""

import os
import stat
import tempfile
from pathlib import Path
from typing import Final

import dns.name

from dnsbound.dns.signer import ZoneKeys
from dnsbound.errors import Malformed, Misuse

_PRIVATE: Final = 0o600
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_MAX_OCTETS: Final = 1 << 20


def load_zone_keys(origin: dns.name.Name, path: Path, *, danger_readable_by_others: bool = False) -> ZoneKeys:
    """The keys of the zone `origin`. OSError when the file cannot be read, Malformed when it does not parse or holds no
    key of a zone, Misuse when others than its owner may read or write it."""
    with path.open("rb") as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise Misuse(f"{path} is not a regular file")
        if facts.st_mode & _OTHERS and not danger_readable_by_others:
            raise Misuse(f"{path} holds private keys and others may use it: run chmod 600 {path}")
        octets = file.read(_MAX_OCTETS + 1)
    if len(octets) > _MAX_OCTETS:
        raise Malformed(f"{path} is too large for a zone key file")
    try:
        return ZoneKeys.parse_pem(origin, octets)
    except Malformed as error:
        raise Malformed(f"{path}: {error}") from None


def save_zone_keys(path: Path, keys: ZoneKeys, *, replace: bool = False) -> None:
    """Write the keys of a zone. replace: put them in the place of a file that is there (a roll); FileExistsError
    without. After an error the former file is unharmed."""
    if not replace:
        _create(path, keys.to_pem())
        return
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        _fill(descriptor, keys.to_pem())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _create(path: Path, octets: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, _PRIVATE)
    try:
        _fill(descriptor, octets)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _fill(descriptor: int, octets: bytes) -> None:
    """Write, flush to the disk, close."""
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, _PRIVATE)
        file.write(octets)
        file.flush()
        os.fsync(descriptor)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
