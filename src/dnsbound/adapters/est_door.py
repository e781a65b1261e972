"""Which names may log in where devices enrol: those of the inventory, and the names that makers gave to devices which
are expected. Asked of the inventory for each claim, before the engine asks the DNS.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Any

from dnsbound.edge.authenticator import Authenticator
from dnsbound.errors import Reason, Refused, Undecided
from dnsbound.names import ClientName
from dnsbound.provision.errors import InventoryFailed
from dnsbound.provision.inventory import Inventory
from dnsbound.verify.access import AccessList, Permit
from dnsbound.verify.access_text import NO_GRANTS
from dnsbound.verify.claim import Claim
from dnsbound.verify.peer import VerifiedPeer

DOOR = "enrolment"
_REMEMBERED = 10_000


class ExpectedNames(AccessList):
    """An access list that holds the names which were asked about lately, and whether each is expected. A name that
    nobody asked about is not permitted."""

    __slots__ = ("_asked", "_inventory", "_lock", "_now")

    def __init__(self, inventory: Inventory, now: Callable[[], float]) -> None:
        super().__init__({}, digest="inventory")
        self._inventory = inventory
        self._now = now
        self._lock = Lock()
        self._asked: OrderedDict[str, bool] = OrderedDict()

    def ask(self, name: ClientName) -> None:
        """Look into the inventory; blocks. InventoryFailed."""
        expected = self._inventory.enrolments.is_expected(name, now=self._now())
        with self._lock:
            self._asked[name.canonical] = expected
            self._asked.move_to_end(name.canonical)
            while len(self._asked) > _REMEMBERED:
                self._asked.popitem(last=False)

    def permit(self, door: str, name: ClientName) -> Permit:
        if door == DOOR and self._asked.get(name.canonical, False):
            return Permit(NO_GRANTS, None)
        raise Refused(Reason.NOT_PERMITTED, "neither an active identity of the inventory nor expected from its maker")


class EnrolmentAuthenticator(Authenticator):
    """An authenticator whose access list is the inventory."""

    def __init__(self, inventory: Inventory, resolver: Any, **options: Any) -> None:  # noqa: ANN401 (Authenticator's)
        self._expected = ExpectedNames(inventory, self.now)
        super().__init__(self._expected, resolver, door=DOOR, **options)

    async def authenticate(self, claim: Claim, *, again: bool = False) -> VerifiedPeer:
        try:
            await asyncio.to_thread(self._expected.ask, claim.name)
        except InventoryFailed as error:
            raise self._without_inventory(claim, error) from error
        return await super().authenticate(claim, again=again)

    def authenticate_blocking(self, claim: Claim, *, again: bool = False) -> VerifiedPeer:
        try:
            self._expected.ask(claim.name)
        except InventoryFailed as error:
            raise self._without_inventory(claim, error) from error
        return super().authenticate_blocking(claim, again=again)

    def authenticate_at_hand(self, claim: Claim) -> VerifiedPeer | None:  # noqa: ARG002 (the inventory is not at hand)
        """None: the inventory has to be asked, which may wait."""
        return None

    def _without_inventory(self, claim: Claim, error: InventoryFailed) -> Undecided:
        """Report, and return, that the access list could not be read."""
        undecided = Undecided(Reason.DNS_FAILED, str(error))
        self.turned_away(undecided, source=claim.source)
        return undecided
