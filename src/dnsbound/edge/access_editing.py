"""Changing an access list's file: comments and order stay, and a list with an error never takes the place of one that
works.

    with AccessEditing.of(path) as editing:
        editing.allow("api", "car54._device.cars.example", {"vlan": 12})
    # written beside the file and renamed into place here, as it was owned and with its mode

Editors of the same file wait for each other. What entries mean is `dnsbound.verify.access`, which also judges the text
before it is written. Long lists are for programs that write them whole: this keeps every comment and blank, at a price.
"""

import fcntl
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Array, InlineTable, Table

from dnsbound.errors import LimitExceeded, Malformed, Misuse
from dnsbound.limits import ACCESS_EDIT_OCTETS
from dnsbound.times import Seconds
from dnsbound.verify.access import AccessList

LOCK_SECONDS: Final[Seconds] = 10.0
_BETWEEN: Final[Seconds] = 0.05
NEW_MODE: Final = 0o644
ALLOW: Final = "allow"
DENY: Final = "deny"


class AccessEditing:
    """The text of one list, being changed. Made by `of`; `from_text` for programs without files."""

    def __init__(self, document: tomlkit.TOMLDocument) -> None:
        self._document = document
        self.is_changed = False

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Malformed for a text that is no access list."""
        AccessList.from_toml(text)
        try:
            return cls(tomlkit.parse(text))
        except TOMLKitError as error:
            raise Malformed(f"access list: {error}") from None

    @classmethod
    @contextmanager
    def of(cls, path: Path, *, create: bool = False) -> Iterator[Self]:
        """Change a file: written when the block ends without an error, if anything was changed. create: a file that is
        not there is begun. Misuse, in one line, for a file that cannot be read or written or that somebody else is
        changing; Malformed for one that is no access list before or after; LimitExceeded for one too long to edit."""
        place = path.resolve()  # A link stays a link.
        if create and not place.exists():
            with _told(place), suppress(FileExistsError):
                os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, NEW_MODE))
        elif not create and not place.exists():
            raise Misuse(f"{path}: there is no access list; `access add --create` makes one")
        with _locked(place) as descriptor:
            with _told(place):
                octets = _read(descriptor, place)
            try:
                editing = cls.from_text(octets.decode("utf-8"))
            except UnicodeDecodeError as error:
                raise Malformed(f"{path}: not UTF-8 text", error.start) from None
            except Malformed as error:
                raise Malformed(f"{path}: {error}") from None
            yield editing
            if editing.is_changed:
                text = editing.text
                AccessList.from_toml(text)
                with _told(place):
                    _replace(place, text.encode(), os.fstat(descriptor))

    @property
    def text(self) -> str:
        """As it would be written."""
        return tomlkit.dumps(self._document)

    def allow(
        self, door: str, entry: str, grants: Mapping[str, Any] | None = None, *, create_door: bool = False
    ) -> bool:
        """Let a name or pattern in; False where the same entry with the same grants is there. Misuse for a door that is
        not there, unless it is to be made."""
        entries = self._entries(door, ALLOW, create_door=create_door)
        wanted = dict(grants or {})
        for known in entries:
            names, granted = _entry(known)
            if _same(entry) in map(_same, names) and granted == wanted:
                return False
        if wanted:
            table = tomlkit.inline_table()
            table["names"] = [entry]
            granted_table = tomlkit.inline_table()
            granted_table.update(wanted)
            table["grants"] = granted_table
            self._append(entries, table)
        else:
            self._append(entries, entry)
        return True

    def deny(self, door: str, entry: str, *, create_door: bool = False) -> bool:
        """Keep a name or pattern out; False where it is denied already."""
        entries = self._entries(door, DENY, create_door=create_door)
        if _same(entry) in (_same(str(known)) for known in entries):
            return False
        self._append(entries, entry)
        return True

    def remove(self, door: str, entry: str, *, of: str = ALLOW) -> int:
        """Take a name or pattern off what lets in, or what keeps out; how often it was there."""
        entries = self._entries(door, of, create_door=False)
        count = 0
        for index in reversed(range(len(entries))):
            known = entries[index]
            if not isinstance(known, InlineTable | Table):
                if _same(str(known)) == _same(entry):
                    del entries[index]
                    count += 1
                continue
            names = known["names"]
            assert isinstance(names, Array)
            for place in reversed(range(len(names))):
                if _same(str(names[place])) == _same(entry):
                    del names[place]
                    count += 1
            if not names:
                del entries[index]
        self.is_changed = self.is_changed or bool(count)
        return count

    def _append(self, entries: Array, entry: object) -> None:
        entries.append(entry)
        self.is_changed = True

    def _entries(self, door: str, key: str, *, create_door: bool) -> Array:
        doors = self._document.get("door")
        if doors is None:
            doors = tomlkit.table(is_super_table=True)
            if not create_door:
                raise Misuse(f"the access list has no door {door!r}; --create makes one")
            self._document["door"] = doors
        if door not in doors:
            if not create_door:
                raise Misuse(f"the access list has no door {door!r}; --create makes one")
            doors[door] = tomlkit.table()
            self.is_changed = True
        table = doors[door]
        if key not in table:
            table[key] = tomlkit.array()
        entries = table[key]
        if not isinstance(entries, Array):
            kind = "an array of tables" if isinstance(entries, AoT) else "no array"
            raise Misuse(f"door {door!r}: {key} is {kind}: edit that by hand")
        return entries


def _entry(known: object) -> tuple[list[str], dict[str, Any]]:
    if isinstance(known, Mapping):
        grants = known.get("grants", {})
        return [str(name) for name in known["names"]], dict(_plain(grants))
    return [str(known)], {}


def _plain(value: Any) -> Any:  # noqa: ANN401 (tomlkit's items are of any type)
    return value.unwrap() if hasattr(value, "unwrap") else value


def _same(entry: str) -> str:
    """Names and patterns compare without regard to case."""
    return entry.lower()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Misuse(f"{path}: {(error.strerror or str(error)).lower()}") from error


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The file, open, which is still the one at its path when the lock is ours."""
    ends_at = time.monotonic() + LOCK_SECONDS
    while (descriptor := _lock_now(path)) is None:
        if time.monotonic() >= ends_at:
            raise Misuse(f"{path}: somebody else is changing it")
        time.sleep(_BETWEEN)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _lock_now(path: Path) -> int | None:
    """None where another holds the lock, or has put another file there meanwhile."""
    with _told(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(path, descriptor):
                return descriptor
        except BlockingIOError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    return None


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _read(descriptor: int, path: Path) -> bytes:
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        octets = file.read(ACCESS_EDIT_OCTETS.default + 1)
    if len(octets) > ACCESS_EDIT_OCTETS.default:
        raise LimitExceeded(
            ACCESS_EDIT_OCTETS.name,
            f"{path} is larger than {ACCESS_EDIT_OCTETS.default} octets: let the program that knows the names write it",
        )
    return octets


def _replace(path: Path, octets: bytes, former: os.stat_result) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(octets)
            file.flush()
            if (former.st_uid, former.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(descriptor, former.st_uid, former.st_gid)
            os.fchmod(descriptor, former.st_mode & 0o7777)
            os.fsync(descriptor)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
