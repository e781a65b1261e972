"""The inventory: identities, zones and the log of every change, in one SQLite file.

Private keys of devices never enter it; zone keys are files it knows the path of. The current time and who acts are
arguments of every change. A change is complete when the call returns, and an authority of another process serves it at
its next query (`dnsbound.provision.zone_data`).
"""

from pathlib import Path
from types import TracebackType
from typing import Self

from dnsbound.provision.database import Database, Watch
from dnsbound.provision.enrolment.enrolments import Enrolments
from dnsbound.provision.enrolment.permissions import Permissions
from dnsbound.provision.event_log import EventLog
from dnsbound.provision.identities import Identities
from dnsbound.provision.ownership.blocks import Blocks
from dnsbound.provision.zones import Zones


class Inventory:
    """An open inventory. Its attributes are its faces; close it, or use it as a context manager."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.identities = Identities(database)
        self.zones = Zones(database)
        self.events = EventLog(database)
        self.blocks = Blocks(database)
        self.permissions = Permissions(database)
        self.enrolments = Enrolments(database)

    @classmethod
    def open(cls, path: Path, *, create: bool = False, busy_seconds: int | None = None) -> Self:
        """Open the inventory at `path`, bringing an older schema up to date.

        create: make an empty one, readable by its owner alone, when there is none; otherwise InventoryMissing.
        busy_seconds: how long a change waits for other writers. Misuse for a file that is no inventory.
        """
        return cls(Database.open(path, create=create, busy_seconds=busy_seconds))

    @property
    def path(self) -> Path:
        return self._database.path

    def watch(self) -> Watch:
        """For an authority: tells cheaply whether anybody changed the inventory, and reads it."""
        return self._database.watch()

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
