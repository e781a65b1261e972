"""What can go wrong with the inventory, as leaves of the one exception tree."""

from dnsbound.errors import DnsboundError, Misuse


class NotInInventory(Misuse):
    """The inventory has no such identity, zone, key or record."""


class AlreadyInInventory(Misuse):
    """The inventory has it already; nothing was changed."""


class RollRefused(Misuse):
    """A step of a roll, of a client's key or a zone's, that would shut somebody out, or that may not be taken where the
    roll stands or so early."""


class LeaseRefused(Misuse):
    """A name that cannot be leased, a device that cannot carry a lease, or a lease that is over."""


class NameBlocked(Misuse):
    """The name is blocked: nothing is published at it until that is lifted."""


class RemovalsRefused(Misuse):
    """More would be taken away than was allowed, or it is not certain what; nothing was changed."""


class PrivateKeyRefused(Misuse):
    """A private key was offered where a public one belongs. It was not kept."""


class InventoryMissing(Misuse):
    """There is no inventory at this path, or in this database."""


class DatabaseFailed(DnsboundError):
    """A database of this package could not be read or written: locked too long, damaged, disk full, server unreachable.
    Nothing was changed."""


class InventoryFailed(DatabaseFailed):
    """That of the inventory."""


class AccountingMissing(Misuse):
    """There is no accounting database at this path, or in this database."""


class AccountingFailed(DatabaseFailed):
    """That of network accounting."""


class ReportStoreMissing(Misuse):
    """There is no store of reports at this path, or in this database."""


class ReportStoreFailed(DatabaseFailed):
    """That of a store of reports."""


class ChangeUnconfirmed(InventoryFailed):
    """The server was lost while a change was being committed: it was made wholly or not at all, and which is to be
    looked up."""
