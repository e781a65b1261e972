"""Publishing as a file that another server or signer loads: NSD behind a signer, Knot, BIND, ldns-signzone.

The file is there whole or as it was before, at every moment: a new one is written beside it, brought to the disk and
renamed. The command that follows is run without a shell and within a time; when it fails, the names stay on the list.

Either the whole zone, whose SOA serial counts its changes, or our records alone, to be included (`$INCLUDE`) by a zone
file that somebody else keeps: the serial is then theirs to raise.
"""

import fcntl
import os
import stat
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import dns.exception
import dns.rdata
import dns.rdataclass

from dnsbound.errors import Malformed
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publish.publisher import READ_TYPES, OutcomeKind, Served, ServerRefused, ServerUnclear
from dnsbound.provision.publish.record_text import text_of_rdata
from dnsbound.provision.publish.targets import ZoneFileTarget

_MODE: Final = 0o644
_MAX_SAID: Final = 200


def load_zone_file(target: ZoneFileTarget, lines: Iterable[str]) -> tuple[OutcomeKind, str]:
    """Write the file and have the server read it: what came of it, and why not. lines: looked up as they are asked for,
    when nobody else writes the file."""
    try:
        with _written_by_one(target.file):
            write_zone_file(target.file, lines)
            if target.after:
                run_command(target.after, target.seconds)
    except ServerRefused as error:
        return OutcomeKind.REFUSED, str(error)
    except ServerUnclear as error:
        return OutcomeKind.UNDECIDED, str(error)
    return OutcomeKind.DONE, ""


@contextmanager
def _written_by_one(path: Path) -> Iterator[None]:
    """Of two who write at once, the one who read the records earlier could end later, and bring back what the other
    has removed. ServerUnclear while another writes."""
    how = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(path.with_name(f".{path.name}.lock"), how, 0o600)
    except OSError as error:
        raise ServerUnclear(f"{path}: {(error.strerror or str(error)).lower()}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise ServerUnclear(f"{path} is being written by another publisher") from None
    finally:
        os.close(descriptor)


def write_zone_file(path: Path, lines: Iterable[str]) -> None:
    """Put a new file in the place of the one that is there, with its mode. ServerUnclear when it cannot be written;
    then nothing has changed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else _MODE
        with suppress(FileNotFoundError):
            temporary.unlink()
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.writelines(f"{line}\n" for line in lines)
                file.flush()
                os.fsync(descriptor)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_directory(path.parent)
    except OSError as error:
        raise ServerUnclear(f"{path}: {(error.strerror or str(error)).lower()}") from error


def run_command(command: tuple[str, ...], seconds: float) -> None:
    """What has the server read the file. ServerRefused when it fails, ServerUnclear when it does not end in time."""
    try:
        done = subprocess.run(  # noqa: S603 (no shell; the command is of the configuration)
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise ServerUnclear(f"{command[0]} did not end within {seconds:g} s and was ended") from None
    except OSError as error:
        raise ServerRefused(f"{command[0]} cannot be run: {(error.strerror or str(error)).lower()}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").split("\n")
        told = next((line for line in reversed(said) if line.strip()), "without a word")
        raise ServerRefused(f"{command[0]} failed ({done.returncode}): {told.strip()[:_MAX_SAID]}")


class ZoneFileReader:
    """What the file holds, for names in the order in which it was written. The file is read once, as far as asked."""

    def __init__(self, target: ZoneFileTarget) -> None:
        self._path = target.file
        self._lines: Iterator[tuple[OwnerName, str, str, int]] | None = None
        self._next: tuple[OwnerName, str, str, int] | None = None

    def read(self, owners: Iterable[OwnerName], rdtypes: Iterable[str] = READ_TYPES) -> Iterator[Served]:
        """As `Publisher.read`, for names that come in tree order from call to call."""
        wanted = set(rdtypes)
        if self._lines is None:
            self._lines = _parsed(self._path)
            self._next = next(self._lines, None)
        for owner in owners:
            sets: dict[str, tuple[list[str], int]] = {}
            while self._next is not None and self._next[0] <= owner:
                name, rdtype, rdata, ttl = self._next
                if name == owner and rdtype in wanted:
                    texts, least = sets.get(rdtype, ([], ttl))
                    sets[rdtype] = [*texts, rdata], min(least, ttl)
                self._next = next(self._lines, None)
            for rdtype, (texts, ttl) in sets.items():
                yield Served(owner=owner, rdtype=rdtype, rdatas=tuple(sorted(texts)), ttl=ttl)


def serial_of(path: Path) -> int | None:
    """The SOA serial of a whole zone as `zone_lines` writes it; None where there is no such file."""
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            for line in (file.readline() for _ in range(3)):
                fields = line.split()
                if len(fields) >= 7 and fields[3] == "SOA" and fields[6].isascii() and fields[6].isdigit():
                    return int(fields[6])
    except OSError:
        return None
    return None


def _parsed(path: Path) -> Iterator[tuple[OwnerName, str, str, int]]:
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            for number, line in enumerate(file, 1):
                if not line.startswith((";", "$")) and line.strip():
                    yield _record(line, f"{path}:{number}")
    except FileNotFoundError:
        return
    except OSError as error:
        raise ServerUnclear(f"{path}: {(error.strerror or str(error)).lower()}") from error


def _record(line: str, where: str) -> tuple[OwnerName, str, str, int]:
    fields = line.split(None, 4)
    if len(fields) != 5 or not fields[1].isdigit() or fields[2] != "IN":
        raise Malformed(f"{where}: no line of ours; was the file edited?")
    try:
        rdata = dns.rdata.from_text(dns.rdataclass.IN, fields[3], fields[4].strip(), relativize=False)
    except (dns.exception.DNSException, ValueError) as error:
        raise Malformed(f"{where}: {error}") from None
    return OwnerName.parse(fields[0], wildcard=True), fields[3], text_of_rdata(rdata), int(fields[1])


def _sync_directory(path: Path) -> None:
    # So that the name survives a power cut too; not every file system can.
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
