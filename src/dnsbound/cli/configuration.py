"""What commands use when an option is not given: environment, configuration file, defaults of the XDG directories.

Order: option, environment variable (Typer reads it), configuration file, default. The file is `$DNSBOUND_CONFIG`, or
`dnsbound/dnsbound.toml` in the XDG configuration directory; never one of the current directory, where a stranger's
file could change whom to trust. Its keys:

    inventory = "/srv/identities/inventory.db"      # or "postgresql://fleet@db.example/identities"
    zone_keys = "/srv/identities/zone-keys"
    resolver = ["tls://192.0.2.1:853#dns.example", "192.0.2.2"]
    anchors = "/etc/dnsbound/anchors.txt"
    actor = "operations"

    [publish."cars.example"]     # as in dnsbound.provision.publish.targets
    to = "rfc2136"

XDG Base Directory Specification 0.8.
"""

import getpass
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from dnsbound.errors import Malformed
from dnsbound.provision.place import is_url, parse_place

if TYPE_CHECKING:
    from dnsbound.provision.publish.targets import Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The configuration file, read. None means: not said there."""

    inventory: Path | str | None = None
    """A path, or the URL of a database."""
    zone_keys: Path | None = None
    resolver: tuple[str, ...] = ()
    anchors: Path | None = None
    actor: str | None = None
    publish: "Targets | None" = None
    """Where zones are published."""

    @classmethod
    def load(cls) -> Self:
        """Read the file if there is one. Malformed for unknown keys and wrong types; OSError when it was named by
        DNSBOUND_CONFIG and cannot be read."""
        named = os.environ.get("DNSBOUND_CONFIG")
        path = Path(named) if named else _xdg("XDG_CONFIG_HOME", ".config") / "dnsbound.toml"
        if not named and not path.exists():
            return cls()
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise Malformed(f"{path}: {error}") from None
        return cls.parse(table, where=path)

    @classmethod
    def parse(cls, table: dict[str, object], *, where: Path) -> Self:
        """Check a parsed file. Relative paths are relative to it."""
        unknown = set(table) - set(cls.__dataclass_fields__)
        if unknown:
            raise Malformed(f"{where}: unknown key {min(unknown)!r}")
        resolver = table.get("resolver", [])
        if isinstance(resolver, str):
            resolver = [resolver]
        if not isinstance(resolver, list) or not all(isinstance(entry, str) and entry for entry in resolver):
            raise Malformed(f"{where}: resolver is text or a list of texts")
        texts: dict[str, str | None] = {}
        for key in ("inventory", "zone_keys", "anchors", "actor"):
            value = table.get(key)
            if value is not None and (not isinstance(value, str) or not value):
                raise Malformed(f"{where}: {key} is text")
            texts[key] = value
        paths = {
            key: where.parent / Path(text).expanduser() if text else None
            for key, text in texts.items()
            if key in ("zone_keys", "anchors")
        }
        inventory = None if texts["inventory"] is None else parse_place(texts["inventory"], relative_to=where.parent)
        publish = None
        if "publish" in table:
            from dnsbound.provision.publish.targets import parse_targets

            publish = parse_targets(table["publish"], where)
        return cls(**paths, inventory=inventory, resolver=tuple(resolver), actor=texts["actor"], publish=publish)


def inventory_place(option: str | None) -> Path | str:
    """Where the inventory is: the path of a file, or the URL of a database."""
    if option:
        return option if is_url(option) else Path(option)
    return Configuration.load().inventory or _xdg("XDG_DATA_HOME", ".local/share") / "inventory.db"


def access_place(option: Path | None) -> Path:
    """Where the access list is."""
    return option or _xdg("XDG_CONFIG_HOME", ".config") / "access.toml"


def zone_keys_directory(option: Path | None, inventory: Path | str) -> Path:
    """Where keys of new zones are put: beside the inventory's file unless told otherwise."""
    beside = inventory.parent if isinstance(inventory, Path) else _xdg("XDG_DATA_HOME", ".local/share")
    return option or Configuration.load().zone_keys or beside / "zone-keys"


def actor() -> str:
    """Who is named in the inventory's log of changes: DNSBOUND_ACTOR, the configuration file, the login name."""
    named = os.environ.get("DNSBOUND_ACTOR") or Configuration.load().actor
    if named:
        return named
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _xdg(variable: str, default: str) -> Path:
    """Our directory of one kind. A relative path in the variable is invalid and is ignored, as XDG says."""
    said = os.environ.get(variable, "")
    top = Path(said) if said and Path(said).is_absolute() else Path.home() / default
    return top / "dnsbound"
