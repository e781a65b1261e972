"""The file that TLS secrets are appended to, for debugging with a packet analyser (NSS key log form)."""

import os
import threading


class KeylogFile:
    """Appends whole lines; created readable by its owner alone. Raises OSError where the file cannot be opened."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = threading.Lock()
        os.close(self._open())

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def append(self, lines: list[str]) -> None:
        octets = "".join(line + "\n" for line in lines).encode("ascii")
        with self._lock, os.fdopen(self._open(), "ab") as file:
            file.write(octets)
