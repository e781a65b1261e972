"""The inventory: identities, zones and the log of every change, in one SQLite file or a PostgreSQL database.

Private keys of devices never enter it; zone keys are files it knows the path of. The current time and who acts are
arguments of every change. A change is complete when the call returns, and an authority of another process serves it at
its next query (`dnsbound.provision.zone_data`).
"""

from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from dnsbound.provision.database import Database, Watch
from dnsbound.provision.enrolment.enrolments import Enrolments
from dnsbound.provision.enrolment.permissions import Permissions
from dnsbound.provision.event_log import EventLog
from dnsbound.provision.identities import Identities
from dnsbound.provision.lifecycle.roll_mover import Observe, RollMover
from dnsbound.provision.lifecycle.rolls import Rolls
from dnsbound.provision.ownership.authorities import Authorities
from dnsbound.provision.ownership.blocks import Blocks
from dnsbound.provision.ownership.gaps import Gaps
from dnsbound.provision.ownership.leases import Leases
from dnsbound.provision.ownership.transfers import Transfers
from dnsbound.provision.zones import Zones

if TYPE_CHECKING:
    from dnsbound.provision.adoption.adoptions import Adoptions


class Inventory:
    """An open inventory. Its attributes are its faces; close it, or use it as a context manager."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.identities = Identities(database)
        self.zones = Zones(database)
        self.events = EventLog(database)
        self.rolls = Rolls(database)
        self.blocks = Blocks(database)
        self.permissions = Permissions(database)
        self.enrolments = Enrolments(database)
        self.authorities = Authorities(database)
        self.gaps = Gaps(database)
        self.leases = Leases(database)
        self.transfers = Transfers(database)

    @classmethod
    def open(cls, place: Path | str, *, create: bool = False, busy_seconds: int | None = None) -> Self:
        """Open the inventory at a path or a `postgresql://` URL, bringing an older schema up to date.

        create: make an empty one when there is none, a file readable by its owner alone, or tables in a database that
        exists; otherwise InventoryMissing. busy_seconds: how long a change waits for other writers. Misuse for what is
        no inventory.
        """
        return cls(Database.open(place, create=create, busy_seconds=busy_seconds))

    @cached_property
    def adoptions(self) -> "Adoptions":
        """One command adopts; the others start without the modules of it."""
        from dnsbound.provision.adoption.adoptions import Adoptions

        return Adoptions(self._database)

    @property
    def database(self) -> Database:
        """For the parts of this package that read and write together in one transaction."""
        return self._database

    @property
    def place(self) -> str:
        """The path, or the URL without password and parameters."""
        return self._database.place

    @property
    def path(self) -> Path | None:
        """The file, when it is one."""
        return self._database.path

    def watch(self) -> Watch:
        """For an authority: tells cheaply whether anybody changed the inventory, and reads it."""
        return self._database.watch()

    def roll_mover(self, observe: Observe, *, by: str, actor: str) -> RollMover:
        """What moves the rolls of this inventory on, for a runner. observe: asks the authoritative servers. by: names
        the runner, as no other is. actor: who is said to have done it."""
        return RollMover(self._database, observe, by=by, actor=actor)

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
