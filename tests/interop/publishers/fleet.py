"""An inventory with many names, and one server of its zone, for tests of publishing as a whole."""

import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import func, select

from dnsbound.edge.publishers import load_tsig_key, open_publisher
from dnsbound.provision import publication, schema
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publish.drift import Drift
from dnsbound.provision.publish.moving import Manner, Moved
from dnsbound.provision.publish.publisher import Publisher
from dnsbound.provision.publish.reconcile import Publishing
from dnsbound.provision.publish.rfc2136 import Rfc2136Publisher
from dnsbound.provision.publish.targets import Rfc2136Target, Target, parse_targets
from interop.primaries import FOREIGN, ZONE, Server, write_key

PROGRAM = (sys.executable, "-c", "from dnsbound.cli import main; main()")
NOW = 1_700_000_000.0
"""When the names were put on the list; long ago, so that all are due."""


def name(number: int) -> str:
    return f"car{number}._device.{ZONE}"


def data(number: int) -> str:
    return f"3 1 1 {number + 1:064x}"


@dataclass
class Fleet:
    """place: of the inventory. table: of the target."""

    place: str
    directory: Path
    table: dict[str, object]
    ahead: float = 0.0
    """Seconds by which the clock is wrong."""
    inventory: Inventory = field(init=False)

    def __post_init__(self) -> None:
        self.inventory = Inventory.open(self.place, create=True)

    @classmethod
    def of(cls, place: str, directory: Path, server: Server, **table: object) -> "Fleet":
        """Published to a primary by updates."""
        key_file = write_key(directory)
        return cls(
            place, directory, {"to": "rfc2136", "server": server.address, "key_file": str(key_file)} | dict(table)
        )

    def add(self, numbers: Iterable[int], *, ttl: int = 60) -> None:
        with self.inventory.database.writing() as connection:
            for number in numbers:
                owner = OwnerName.parse(name(number))
                publication.add(connection, publication.parse_record(owner, "TLSA", data(number), ttl), now=NOW)

    def remove(self, numbers: Iterable[int]) -> None:
        with self.inventory.database.writing() as connection:
            for number in numbers:
                publication.remove(connection, OwnerName.parse(name(number)), frozenset({"TLSA"}), now=NOW)

    def alias(self, owner: str, target: str) -> None:
        with self.inventory.database.writing() as connection:
            record = publication.parse_record(OwnerName.parse(owner), "CNAME", target, 60)
            publication.add(connection, record, now=NOW)

    def count(self, table: str) -> int:
        with self.inventory.database.reading() as connection:
            return connection.execute(select(func.count()).select_from(schema.metadata.tables[table])).scalar_one()

    def problems(self) -> set[str]:
        with self.inventory.database.reading() as connection:
            return set(connection.execute(select(schema.outbox.c.problem)).scalars())

    @property
    def publishing(self) -> Publishing:
        targets = parse_targets({ZONE: self.table}, self.directory / "dnsbound.toml")
        return Publishing(self.inventory, targets, self._opened, clock=self._clock)

    def _clock(self) -> float:
        return time.time() + self.ahead

    def _opened(self, target: Target) -> Publisher:
        if isinstance(target, Rfc2136Target):
            return Rfc2136Publisher(target, load_tsig_key(target.key_file), clock=self._clock)
        return open_publisher(target)

    @property
    def target(self) -> Target:
        return self.publishing.targets[ZONE]

    def publish(self, **manner: object) -> Moved:
        return self.publishing.publish(self.target, Manner(**manner))

    def drifts(self) -> list[Drift]:
        return [drift for found in self.publishing.drifts(self.target) for drift in found]

    def fix(self) -> Moved:
        self.publishing.again(self.drifts())
        return self.publish()

    def configuration(self) -> Path:
        """For the command line."""
        path = self.directory / "targets.toml"
        lines = [f'[publish."{ZONE}"]', *(f"{key} = {_toml(value)}" for key, value in self.table.items())]
        path.write_text("\n".join(lines) + "\n")
        return path

    def command(self, *arguments: str) -> list[str]:
        return [*PROGRAM, "publish", "--targets", str(self.configuration()), "--inventory", self.place, *arguments]

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self.command(*arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )


def _toml(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return str(value) if isinstance(value, int) else f'"{value}"'


def expected(numbers: Iterable[int], *, ttl: int = 60) -> Mapping[tuple[str, str], tuple[int, frozenset[str]]]:
    """What a transfer shows when these names are published: they, and what was there before."""
    ours = {(name(number), "TLSA"): (ttl, frozenset({data(number)})) for number in numbers}
    others = {
        (ZONE, "NS"): (300, frozenset({f"ns.{ZONE}."})),
        (f"ns.{ZONE}", "A"): (300, frozenset({"127.0.0.1"})),
        (f"foreign.{ZONE}", "TLSA"): (300, frozenset({FOREIGN})),
        (f"shared.{ZONE}", "TLSA"): (300, frozenset({FOREIGN})),
        (f"alias.{ZONE}", "CNAME"): (300, frozenset({f"ns.{ZONE}."})),
    }
    return ours | others
