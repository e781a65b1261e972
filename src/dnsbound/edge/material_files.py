"""The files of one materialiser: written whole, taken away when they are not wanted, and never anybody else's.

A directory is the materialiser's alone: one that holds files it did not write is refused, because what lies there is
trusted by a server, and what was put there by hand would look revoked and not be. What was written, and how long it
holds, is kept beside it in `.dnsbound-material.json`, so that after a restart without any DNS the files stay as long
as their evidence, and no longer. What this is not: the reading of that evidence (`edge.materialiser`).
"""

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from dnsbound.edge.file_status import FileStatus
from dnsbound.edge.material import Material, MaterialKind
from dnsbound.edge.material_forms import WHOLE, Files
from dnsbound.edge.secret_files import remove_unfinished, write_public_file
from dnsbound.errors import Malformed, Misuse
from dnsbound.names import ClientName
from dnsbound.protocols.identity_headers import grants_text

STATE: Final = ".dnsbound-material.json"
_VERSION: Final = 1


class MaterialFiles:
    """path: the directory, or the one file. Misuse when it is somebody else's."""

    def __init__(self, path: Path, *, one_file: bool) -> None:
        self._path = path
        self._one_file = one_file
        self._state = path.parent / f".{path.name}{STATE}" if one_file else path / STATE
        self._written: dict[str, tuple[bytes, FileStatus] | None] = {}
        """Digest and status of what was written here; None for what an earlier process has written."""
        self.kept: list[Material] = []
        """What an earlier process has found, with the evidence it had."""

    def open(self) -> None:
        """Look at what is there. Misuse."""
        try:
            if not self._one_file:
                self._path.mkdir(mode=0o755, exist_ok=True)
            self._read_state()
            remove_unfinished(self._state)
            present = {} if self._one_file else {entry.name for entry in self._path.iterdir()}
        except OSError as error:
            raise Misuse(f"{self._path}: {(error.strerror or str(error)).lower()}") from error
        foreign = sorted(name for name in present if not name.startswith(".") and name not in self._written)
        if foreign:
            raise Misuse(
                f"{self._path}: {foreign[0]!r} was not written by the materialiser, whose directory this is to be"
            )

    def write(self, files: Files, materials: Iterable[Material]) -> list[str]:
        """Make the files these, and no others. The names of those that changed, none where all are as they should be.
        Misuse when one cannot be written; what is not wanted is taken away all the same, and first."""
        changed = [name for name in self._written if name not in files]
        try:
            for name in changed:
                self._place(name).unlink(missing_ok=True)
                del self._written[name]
            added = [name for name, octets in files.items() if not self._is_as(name, octets)]
            # A file is known as ours before it is there: a process that is killed leaves none that is nobody's.
            self._write_state(materials, [*self._written, *added])
            for name in added:
                write_public_file(self._place(name), files[name])
                self._written[name] = (sha256(files[name]).digest(), FileStatus.from_stat(self._place(name).stat()))
        except OSError as error:
            raise Misuse(f"{self._path}: {(error.strerror or str(error)).lower()}") from error
        return changed + added

    def _is_as(self, name: str, octets: bytes) -> bool:
        """Whether the file is there, with this in it, and nobody has touched it since it was written."""
        status = FileStatus.of(self._place(name))
        if status is None or name not in self._written:
            return False
        digest, known = sha256(octets).digest(), self._written[name]
        if known is not None:
            return known == (digest, status)
        if self._place(name).read_bytes() != octets:
            return False
        self._written[name] = (digest, status)
        return True

    def _place(self, name: str) -> Path:
        return self._path if name == WHOLE else self._path / name

    def _write_state(self, materials: Iterable[Material], files: Iterable[str]) -> None:
        value = {
            "v": _VERSION,
            "files": sorted(set(files)),
            "material": [_to_json(material) for material in materials],
        }
        write_public_file(self._state, json.dumps(value, separators=(",", ":")).encode("ascii"))

    def _read_state(self) -> None:
        if FileStatus.of(self._state) is None:
            return
        try:
            value = json.loads(self._state.read_bytes())
            of_version = value["v"]
            self._written = {str(name): None for name in value["files"]}
            self.kept = [_from_json(entry) for entry in value["material"]]
        except (ValueError, KeyError, TypeError, Malformed, RecursionError) as error:
            raise Misuse(f"{self._state}: it cannot be read: {error}") from error
        if of_version != _VERSION:
            raise Misuse(f"{self._state}: of version {of_version}, not {_VERSION}")
        for name in self._written:
            if name.startswith(".") or "/" in name:
                raise Misuse(f"{self._state}: {name!r} is no file of a materialiser")


def _to_json(material: Material) -> dict[str, Any]:
    return {
        "name": material.name.canonical,
        "kind": material.kind.value,
        "octets": material.octets.hex(),
        "until": material.kept_until,
        "grants": json.loads(grants_text(material.grants)),
    }


def _from_json(value: Mapping[str, Any]) -> Material:
    return Material(
        name=ClientName.parse(value["name"]),
        kind=MaterialKind(value["kind"]),
        octets=bytes.fromhex(value["octets"]),
        kept_until=float(value["until"]),
        grants=value["grants"],
    )
