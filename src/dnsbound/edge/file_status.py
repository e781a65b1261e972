"""Whether a file is another one than it was when it was read: for whatever reads a file again when it changes.

Content is not compared. A file that is renamed into place has another inode, one that is written in place other times.
"""

import os
from pathlib import Path
from typing import NamedTuple, Self


class FileStatus(NamedTuple):
    """Two of them are equal as long as nobody has touched the file."""

    device: int
    inode: int
    size: int
    """Octets."""
    modified: int
    """Nanoseconds, as `changed`."""
    changed: int

    @classmethod
    def of(cls, path: Path) -> Self | None:
        """None when there is no such file, or it cannot be seen."""
        try:
            return cls.from_stat(path.stat())
        except OSError:
            return None

    @classmethod
    def from_stat(cls, facts: os.stat_result) -> Self:
        return cls(facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
