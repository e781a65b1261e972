"""Files that hold secrets, private keys above all: written whole or not at all, for their owner alone, and never over
another by accident. Small public files beside them, such as chains, are written whole as well.

Reading refuses a file that others may read, as programs with keys do, unless the caller says otherwise.
"""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import Final

from dnsbound.errors import Misuse

OWNER_ONLY: Final = 0o600
EVERYBODY: Final = 0o644
"""As far as the process's umask lets."""
_WITHOUT_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""What file systems answer that have no hard links."""
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
MAX_OCTETS: Final = 1_048_576
"""No key file is larger; a device or a log given by mistake is not read to its end."""


def read_secret_file(path: str | os.PathLike[str], *, danger_readable_by_others: bool = False) -> bytes:
    """The file's octets. Misuse, in one line, when it cannot be read, or when group or others may."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise Misuse(f"{path}: {_words(error)}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Misuse(f"{path}: not a regular file")
        if status.st_mode & _OTHERS and not danger_readable_by_others:
            mode = stat.S_IMODE(status.st_mode)
            raise Misuse(f"{path}: others may read this secret (mode {mode:04o}); chmod 600 it")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return _read(file.read(MAX_OCTETS + 1), path)
    except OSError as error:
        raise Misuse(f"{path}: {_words(error)}") from error
    finally:
        os.close(descriptor)


def read_public_file(path: str | os.PathLike[str]) -> bytes:
    """The octets of a file that holds no secret. Misuse, in one line, when it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return _read(file.read(MAX_OCTETS + 1), path)
    except (OSError, ValueError) as error:
        raise Misuse(f"{path}: {_words(error)}") from error


def write_secret_file(path: str | os.PathLike[str], octets: bytes, *, replace: bool = False) -> None:
    """Write the file with mode 0600, so that at no moment half of it is there. replace: whether a file of that name may
    go. Misuse, in one line, when it cannot be written or is there already; then nothing has changed."""
    _write(path, octets, mode=OWNER_ONLY, replace=replace)


def write_public_file(path: str | os.PathLike[str], octets: bytes) -> None:
    """Write a file that holds no secret, in place of one of that name; at no moment half of it is there. Misuse, in one
    line, when it cannot be written; then nothing has changed."""
    _write(path, octets, mode=EVERYBODY, replace=True)


def remove_unfinished(path: Path) -> None:
    """Take away what a writer of this file left that was killed. Only where no other can be writing it now."""
    for left in path.parent.glob(_temporary_name(path.name, "*")):
        left.unlink(missing_ok=True)


@contextmanager
def secret_directory(path: Path) -> Iterator[None]:
    """Make the directory, for its owner alone, and those above it, where they are missing. When the block fails, those
    that were made here are taken back, if they are empty. OSError."""
    made: list[Path] = []
    try:
        missing = list(takewhile(lambda place: not place.is_dir(), [path, *path.parents]))
        for place in reversed(missing):
            if _make_directory(place, 0o700 if place == path else 0o777):
                made.append(place)  # noqa: PERF401 (what was made before an error must be known)
        yield
    except BaseException:
        with suppress(OSError):
            for place in reversed(made):
                place.rmdir()
        raise


def _make_directory(path: Path, mode: int) -> bool:
    """Whether it was made here; False where it came to be there meanwhile."""
    try:
        path.mkdir(mode=mode)
    except FileExistsError:
        if not path.is_dir():
            raise
        return False
    return True


def _temporary_name(name: str, token: str) -> str:
    return f".{name}.{token}.new"


def _write(path: str | os.PathLike[str], octets: bytes, *, mode: int, replace: bool) -> None:
    target = Path(path)
    temporary = target.with_name(_temporary_name(target.name, secrets.token_hex(8)))
    try:
        _write_new(temporary, octets, mode)
        try:
            if replace:
                temporary.replace(target)
            else:
                _put_in_place(temporary, target, octets, mode)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_directory(target.parent)
    except FileExistsError as error:
        raise Misuse(f"{path}: exists already") from error
    except (OSError, ValueError) as error:
        raise Misuse(f"{path}: {_words(error)}") from error


def _put_in_place(temporary: Path, target: Path, octets: bytes, mode: int) -> None:
    """A link fails where a rename would silently replace what came to be there meanwhile."""
    try:
        os.link(temporary, target)
    except OSError as error:
        if error.errno not in _WITHOUT_LINKS:
            raise
        _write_new(target, octets, mode)


def _write_new(path: Path, octets: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(octets)
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _sync_directory(path: Path) -> None:
    """So that the name survives a power cut too; not every file system can, and the file itself is safe already."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _read(octets: bytes, path: str | os.PathLike[str]) -> bytes:
    if len(octets) > MAX_OCTETS:
        raise Misuse(f"{path}: larger than {MAX_OCTETS} octets, more than belongs here")
    return octets


def _words(error: OSError | ValueError) -> str:
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
