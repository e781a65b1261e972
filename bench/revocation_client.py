"""Clients of `bench.revocation_door`: one that logs in and goes, and one that stays until it is cut."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.revocation_door import WORD
from dnsbound.credential.credential import Credential
from dnsbound.edge.context import Context

HOST = "api.cars.example"
_SECONDS = 20.0
_ENDED = (OSError, ssl.SSLError)


@dataclass(frozen=True, slots=True)
class Door:
    """Where it listens, and the file of the root of its certificate."""

    port: int
    root: Path


@contextmanager
def connected(credential: Credential, door: Door) -> Iterator[ssl.SSLSocket]:
    """A connection to the door. OSError."""
    context = Context.client(credential)
    context.load_verify_locations(door.root)
    with (
        socket.create_connection(("127.0.0.1", door.port), timeout=_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=HOST) as secured,
    ):
        yield secured


def is_let_in(credential: Credential, door: Door) -> bool:
    """Connect, say a word, hear one."""
    with suppress(*_ENDED), connected(credential, door) as secured:
        return _answered(secured)
    return False


@dataclass(slots=True)
class Staying:
    """A client that logged in and stays. cut_at: when its connection ended, by `time.perf_counter`; None while open."""

    cut_at: float | None = None
    _thread: threading.Thread = field(init=False)

    @classmethod
    def log_in(cls, credential: Credential, door: Door) -> "Staying":
        """RuntimeError when the door does not let it in."""
        staying, let_in = cls(), threading.Event()
        staying._thread = threading.Thread(target=staying._stay, args=(credential, door, let_in), daemon=True)
        staying._thread.start()
        if not let_in.wait(_SECONDS):
            raise RuntimeError("a client is not let in before its name is revoked")
        return staying

    def waited(self) -> float:
        """When it was cut; waits for it. RuntimeError when it never is."""
        self._thread.join(_SECONDS)
        if self.cut_at is None:
            raise RuntimeError(f"the session of a revoked name is open after {_SECONDS:.0f} s")
        return self.cut_at

    def _stay(self, credential: Credential, door: Door, let_in: threading.Event) -> None:
        try:
            with connected(credential, door) as secured:
                if _answered(secured):
                    let_in.set()
                    secured.recv(1)
        except TimeoutError:
            return
        except _ENDED:
            pass
        self.cut_at = time.perf_counter()


def _answered(secured: ssl.SSLSocket) -> bool:
    secured.sendall(b"hello\n")
    return secured.recv(len(WORD)) == WORD
