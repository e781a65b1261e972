"""The options of `dnsbound gate server` and `gate client` as the configuration that a gate.toml would be."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from dnsbound.edge.gate_configuration import GateConfiguration
from dnsbound.edge.toml_tables import TomlTable, TomlText
from dnsbound.errors import Malformed, Misuse
from dnsbound.times import seconds_of_text
from dnsbound.verify.access import AccessList

LABEL: Final = "gate"
"""Of the one gate that options make."""
_OF_SERVER: Final = frozenset({"access", "status", "shutdown_seconds", "reload_seconds"})
_OPTION_OF: Final = {
    "certificate": "--cert",
    "connect_seconds": "--connect-timeout",
    "close_seconds": "--close-timeout",
    "idle_seconds": "--idle-timeout",
    "lifetime_seconds": "--max-conn-lifetime",
    "shutdown_seconds": "--shutdown-timeout",
    "reload_seconds": "--timed-reload",
    "connections": "--max-concurrent-conns",
    "proxy_protocol": "--proxy-protocol-mode",
    "server_name": "--override-server-name",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked for. path: of a gate.toml, None for options. values: of options, by the keys of the file. access:
    in place of a file of the configuration. kind: of the one gate that options make."""

    path: Path | None
    values: Mapping[str, Any]
    access: AccessList | None
    kind: Literal["gate", "client"] = "gate"

    def load(self) -> GateConfiguration:
        """Read it, or read it again. Malformed or Misuse."""
        if self.path is not None:
            return GateConfiguration.load(self.path)
        server = {key: value for key, value in self.values.items() if key in _OF_SERVER}
        gate = {key: value for key, value in self.values.items() if key not in _OF_SERVER}
        source = TomlText(path=Path("the options"), text="")
        table = TomlTable(source, (), {"server": server, self.kind: {LABEL: gate}})
        return GateConfiguration.from_table(table, path=source.path, brings_access=self.access is not None)


def gates_asked_for(path: Path | None, options: dict[str, Any]) -> Asked:
    """options: by the keys of the file, `key` and `allow_dns` apart. Misuse where they do not go together."""
    if path is not None:
        if options:
            raise Misuse(f"--config says all there is: leave {_named(next(iter(options)))} away")
        return Asked(path=path, values={}, access=None)
    for needed in ("listen", "target"):
        if needed not in options:
            raise Misuse(f"--{needed} is missing; or give --config FILE")
    values = {key: _plain(key, value) for key, value in options.items()}
    _own_key(values)
    names = values.pop("allow_dns", None)
    if (names is None) == ("access" not in values):
        raise Misuse("say who may come in: by --allow-dns NAME, or by --access FILE and --door NAME")
    if names is None:
        if "door" not in values:
            raise Misuse("--door says which door of the access list this is")
        return Asked(path=None, values=values, access=None)
    values.setdefault("door", LABEL)
    return Asked(path=None, values=values, access=AccessList.allowing(values["door"], names))


def client_asked_for(path: Path | None, options: dict[str, Any]) -> Asked:
    """Of `gate client`. options: by the keys of the file, `key` apart. Misuse where they do not go together."""
    if path is not None:
        if options:
            raise Misuse(f"--config says all there is: leave {_named(next(iter(options)))} away")
        return Asked(path=path, values={}, access=None, kind="client")
    for needed in ("listen", "target"):
        if needed not in options:
            raise Misuse(f"--{needed} is missing; or give --config FILE")
    values = {key: _plain(key, value) for key, value in options.items()}
    _own_key(values)
    return Asked(path=None, values=values, access=None, kind="client")


def _own_key(values: dict[str, Any]) -> None:
    """The gate's own key: one file, or two as ghostunnel names them."""
    key = values.pop("key", None)
    if "credential" in values and (key is not None or "certificate" in values):
        raise Misuse("--credential is in place of --cert and --key")
    if "credential" not in values:
        if key is None or "certificate" not in values:
            raise Misuse("the gate needs a key of its own: --credential FILE, or --cert FILE and --key FILE")
        values["credential"] = key


def _plain(key: str, value: Any) -> Any:  # noqa: ANN401 (of an option)
    """As it would stand in a gate.toml."""
    if key.endswith("_seconds"):
        try:
            return int(seconds_of_text(value))
        except Malformed as error:
            raise Misuse(f"{_named(key)}: {error}") from None
    return str(value) if isinstance(value, Path) else value


def _named(key: str) -> str:
    return _OPTION_OF.get(key, "--" + key.replace("_", "-"))
