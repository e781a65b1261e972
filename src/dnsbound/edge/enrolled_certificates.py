"""A directory of certificates by the name they were enrolled under: `NAME.pem`, each with certificates in PEM.

The materialiser takes from it what the DNS does not hold itself (records other than 3 0 0), and writes directories of
the same form for the faces that ask about a client whose certificate they are not told. A file that does not parse is
said in the log once for each of its states, and is as good as none. What this is not: a store of keys, or of trust.
"""

import logging
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

from dnsbound.edge.file_status import FileStatus
from dnsbound.edge.secret_files import read_public_file
from dnsbound.errors import DnsboundError
from dnsbound.names import ClientName
from dnsbound.protocols.presented_by_fronts import presented_of_body

SUFFIX: Final = ".pem"
_NAME_CHARACTERS: Final = 200
"""Of a name that is a file's name as it is; file systems have 255 octets."""
_DIGEST_CHARACTERS: Final = 32

_log: Final = logging.getLogger("dnsbound.authz")


def file_stem(name: ClientName) -> str:
    """What a file about this name is called; long names end in their digest."""
    text = name.canonical
    if len(text) <= _NAME_CHARACTERS:
        return text
    digest = sha256(text.encode("ascii")).hexdigest()[:_DIGEST_CHARACTERS]
    return f"{text[: _NAME_CHARACTERS - _DIGEST_CHARACTERS - 1]}-{digest}"


class EnrolledCertificates:
    """Looks at the file of a name whenever it is asked, and reads it when it has changed."""

    def __init__(self, directory: Path) -> None:
        self.directory: Final = directory
        self._known: dict[Path, tuple[FileStatus, tuple[bytes, ...]]] = {}

    def of(self, name: ClientName) -> tuple[bytes, ...]:
        """DER certificates; none without a file."""
        return self._of_file(self.directory / f"{file_stem(name)}{SUFFIX}")

    def all(self) -> Iterator[bytes]:
        """Every certificate in the directory."""
        present = sorted(self.directory.glob(f"[!.]*{SUFFIX}"))
        self._known = {path: known for path, known in self._known.items() if path in set(present)}
        for path in present:
            yield from self._of_file(path)

    def _of_file(self, path: Path) -> tuple[bytes, ...]:
        status = FileStatus.of(path)
        if status is None:
            self._known.pop(path, None)
            return ()
        known = self._known.get(path)
        if known is not None and known[0] == status:
            return known[1]
        try:
            certificates = presented_of_body(read_public_file(path)).chain
        except DnsboundError as error:
            _log.warning("%s: %s", path, error)
            certificates = ()
        self._known[path] = (status, certificates)
        return certificates
