"""Files by the paths of a manifest: below one directory, never by way of a link.

A path has passed `dnsbound.objects.large.paths` before it comes here. The directory itself is the caller's word and may
be reached by any way; from there on each step is opened from the one before it, so that nothing that is exchanged
meanwhile leads elsewhere.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dnsbound.edge.content_files import OpenContent
from dnsbound.errors import Malformed, Misuse
from dnsbound.objects.large.paths import checked_path

_STEP = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def opened_below(directory: Path, path: str) -> Iterator[OpenContent]:
    """The file of this path below a directory, closed afterwards. Malformed for a path no manifest may have, Misuse
    where it is no regular file, OSError where there is none or a link is on the way."""
    *steps, name = checked_path(path).split("/")
    with ExitStack() as held:

        def entered(descriptor: int) -> int:
            held.callback(os.close, descriptor)
            return descriptor

        at = entered(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        for step in steps:
            at = entered(os.open(step, _STEP, dir_fd=at))
        yield OpenContent(entered(os.open(name, _FILE, dir_fd=at)), directory / path)


def paths_below(directory: Path) -> Iterator[str]:
    """The path of every file below a directory, in order. Misuse for what a manifest cannot name: links, pipes,
    devices, names that are no printable text."""
    yield from _walk(directory, "")


def _walk(directory: Path, above: str) -> Iterator[str]:
    with os.scandir(directory) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        path = _nameable(above + entry.name, entry.path)
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            yield from _walk(directory / entry.name, f"{path}/")
        elif stat.S_ISREG(mode):
            yield path
        else:
            raise Misuse(f"{entry.path}: neither file nor directory; a manifest names files, not what a link leads to")


def _nameable(path: str, shown: str) -> str:
    try:
        return checked_path(path)
    except Malformed as error:
        raise Misuse(f"{shown!r} cannot be named in a manifest: {error}") from None
