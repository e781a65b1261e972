"""How long a gated connection may take, be silent and last, in either direction of the gate."""

from dataclasses import dataclass
from typing import Self

from dnsbound.door_limits import GATE_CLOSE_SECONDS, GATE_CONNECT_SECONDS, GATE_IDLE_SECONDS, GATE_LIFETIME_SECONDS
from dnsbound.edge.toml_tables import TomlTable


@dataclass(frozen=True, slots=True, kw_only=True)
class GateTimes:
    """Seconds; see `dnsbound.limits`. 0 of idle and lifetime is no end; 0 of close ends both sides at once."""

    connect: int = GATE_CONNECT_SECONDS.default
    idle: int = GATE_IDLE_SECONDS.default
    close: int = GATE_CLOSE_SECONDS.default
    lifetime: int = GATE_LIFETIME_SECONDS.default

    @classmethod
    def read(cls, table: TomlTable) -> Self:
        """Of `[gate.LABEL]` or `[client.LABEL]`; Malformed."""
        return cls(
            connect=table.number("connect_seconds", GATE_CONNECT_SECONDS),
            idle=table.number("idle_seconds", GATE_IDLE_SECONDS),
            close=table.number("close_seconds", GATE_CLOSE_SECONDS),
            lifetime=table.number("lifetime_seconds", GATE_LIFETIME_SECONDS),
        )
