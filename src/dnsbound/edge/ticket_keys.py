"""Keys of a door's session tickets: its own, which rotate by themselves, those of one service's worker processes, or
those of a file that any processes share.

Each connection of the door calls `refresh`, which is cheap until something is due. A ticket whose key is gone is a full
handshake. Whoever has a ticket key can make a ticket that says any name of the door's access list, without that name's
private key: the keys are worth as much as all clients' keys together, and only as long as they open tickets.

What this is not: the sealing itself, which is the native engine's.
"""

import base64
import binascii
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from dnsbound._native import TicketKeys
from dnsbound.edge.file_status import FileStatus
from dnsbound.edge.secret_files import read_secret_file
from dnsbound.errors import Malformed, Misuse
from dnsbound.limits import TICKET_KEY_SECONDS
from dnsbound.times import Seconds

_KEY_OCTETS: Final = 80
_SECRET_OCTETS: Final = 32
_MAX_SECRETS: Final = 16
_CHECK_SECONDS: Final[Seconds] = 1.0

_log: Final = logging.getLogger("dnsbound.context")


class TicketKeySource(Protocol):
    """Where a door's ticket keys come from."""

    keys: TicketKeys
    """The keys in force."""

    def refresh(self) -> None:
        """Bring them up to date. From any thread; returns at once when nothing is due."""


class _Refreshed:
    """Runs `_bring_up_to_date` when it is due, in one thread at a time, and in whatever process this is."""

    def __init__(self, interval: Seconds, monotonic: Callable[[], float]) -> None:
        self._interval = interval
        self._monotonic = monotonic
        self._due = monotonic() + interval
        self._lock = threading.Lock()
        self._process = os.getpid()

    def refresh(self) -> None:
        if self._monotonic() < self._due:
            return
        if self._process != os.getpid():  # the lock may have been held by a thread of the parent process
            self._process, self._lock = os.getpid(), threading.Lock()
        if not self._lock.acquire(blocking=False):
            return
        try:
            now = self._monotonic()
            if now >= self._due:
                self._due = now + self._interval
                self._bring_up_to_date(now)
        finally:
            self._lock.release()

    def _bring_up_to_date(self, now: float) -> None:
        raise NotImplementedError


class OwnTicketKeys(_Refreshed):
    """Random keys of one Context, in memory alone. A key seals for `interval` seconds and opens for `lifetime`, that of
    a ticket, longer. A process that forks shares them with its children until the next one is due."""

    def __init__(
        self,
        lifetime: Seconds,
        *,
        interval: int | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(TICKET_KEY_SECONDS.checked(interval), monotonic)
        self._lifetime = lifetime
        self._sealing = os.urandom(_KEY_OCTETS)
        self._opening: list[tuple[bytes, float]] = []
        """Keys that seal no longer, the newest first, and when each is forgotten."""
        self.keys = TicketKeys([self._sealing])

    def _bring_up_to_date(self, now: float) -> None:
        # From now, not from when it was due: until now it may have sealed.
        opening = [(self._sealing, now + self._lifetime), *self._opening]
        self._opening = [(key, until) for key, until in opening if until > now]
        self._sealing = os.urandom(_KEY_OCTETS)
        self.keys.replace([self._sealing, *(key for key, _ in self._opening)])


class TicketSecrets:
    """What the ticket keys of one service's worker processes are made of. To be made before they are forked.

    Each interval has a secret that follows from the one before and not the other way round, so that all processes come
    to the same ones by the clock alone, and an old one is gone wherever `at` was called since. For one thread.
    """

    def __init__(
        self,
        lifetime: Seconds,
        *,
        interval: int | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """lifetime: that of a ticket. interval: seconds for which one secret seals. monotonic: a clock that is the same
        in all processes."""
        self.interval: Final = TICKET_KEY_SECONDS.checked(interval)
        self.monotonic: Final = monotonic
        self._lifetime = lifetime
        self._ends = monotonic() + self.interval
        self._seed = os.urandom(_SECRET_OCTETS)
        self._opening: list[tuple[bytes, float]] = []
        """Secrets of former intervals, the newest first, and when each is forgotten."""

    @property
    def ends(self) -> float:
        """When the interval ends that `at` came to."""
        return self._ends

    def at(self, now: float) -> list[bytes]:
        """Secrets in force, the one that seals first. now: by `monotonic`."""
        while self._ends <= now:
            former = self._sealing()
            if self._ends + self._lifetime > now:
                self._opening.insert(0, (former, self._ends + self._lifetime))
            self._seed = _expanded(self._seed, b"dnsbound next ticket secret", _SECRET_OCTETS)
            self._ends += self.interval
        self._opening = [(secret, until) for secret, until in self._opening if until > now]
        return [self._sealing(), *(secret for secret, _ in self._opening)]

    def _sealing(self) -> bytes:
        return _expanded(self._seed, b"dnsbound ticket secret", _SECRET_OCTETS)


class SharedTicketKeys(_Refreshed):
    """Keys of one door in one of several worker processes: whichever sealed a ticket, each opens it. Each door has keys
    of its own from the same secrets."""

    def __init__(self, secrets: TicketSecrets, *, door: str) -> None:
        super().__init__(secrets.interval, secrets.monotonic)
        self._secrets = secrets
        self._door = door
        self.keys = TicketKeys(self._made(secrets.monotonic()))

    def _bring_up_to_date(self, now: float) -> None:
        self.keys.replace(self._made(now))

    def _made(self, now: float) -> list[bytes]:
        keys = [_derived(secret, self._door) for secret in self._secrets.at(now)]
        self._due = self._secrets.ends
        return keys


class TicketKeyFile(_Refreshed):
    """Keys for several processes, made of secrets in a file that is read again when it changes.

    The file has mode 0600 and one secret of 32 octets or more in each line, in base64; the first one seals, and each
    one opens. Empty lines, and lines that begin with #, do not count. Each door gets keys of its own from the same
    file, so that no door opens another's tickets. To rotate, write a file with a new first line and rename it into
    place; take a line out once one ticket lifetime has passed since another became the first.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        door: str,
        interval: Seconds = _CHECK_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read the file. Misuse when it cannot be read, others may read it, or it does not hold such secrets. interval:
        seconds between looks at the file."""
        super().__init__(interval, monotonic)
        self._path = Path(path)
        self._door = door
        self._seen = FileStatus.of(self._path)
        self.keys = TicketKeys(self._read())

    def _bring_up_to_date(self, now: float) -> None:  # noqa: ARG002 (what is due is seen in the file)
        status = FileStatus.of(self._path)
        if status == self._seen:
            return
        self._seen = status
        try:
            self.keys.replace(self._read())
        except Misuse as error:
            _log.error("%s; the ticket keys read before stay in force", error)
        else:
            _log.info("%s: new ticket keys in force", self._path)

    def _read(self) -> list[bytes]:
        try:
            secrets = _secrets(read_secret_file(self._path))
        except Malformed as error:
            raise Misuse(f"{self._path}: {error}") from None
        return [_derived(secret, self._door) for secret in secrets]


def _secrets(octets: bytes) -> list[bytes]:
    lines = [(number, line.strip()) for number, line in enumerate(octets.splitlines(), start=1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith(b"#")]
    if not 1 <= len(lines) <= _MAX_SECRETS:
        raise Malformed(f"{len(lines)} ticket secrets, not 1 to {_MAX_SECRETS}")
    secrets = [_secret(line, number) for number, line in lines]
    if len(set(secrets)) != len(secrets):
        raise Malformed("a ticket secret occurs twice")
    return secrets


def _secret(line: bytes, number: int) -> bytes:
    try:
        secret = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed(f"line {number} is not base64") from None
    if len(secret) < _SECRET_OCTETS:
        raise Malformed(f"line {number} has {len(secret)} octets, not {_SECRET_OCTETS} or more")
    return secret


def _derived(secret: bytes, door: str) -> bytes:
    return _expanded(secret, b"dnsbound ticket key\0" + door.encode(), _KEY_OCTETS)


def _expanded(secret: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=info).derive(secret)
