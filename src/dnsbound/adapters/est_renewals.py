"""A device that asks for another key under its name: the roll of `dnsbound.provision.lifecycle`, begun by the device.

The new key's record is published beside the old one's; the device is told to wait until it may switch, and its first
login with the new key ends the old one. Sections: RFC 7030 section 4.2.2, RFC 7671 section 8.1.
"""

from typing import Final

from dnsbound.names import ClientName
from dnsbound.provision.enrolment.refusal import Because, EnrolmentRefused
from dnsbound.provision.errors import NotInInventory, RollRefused
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.lifecycle.beginning import Wish
from dnsbound.provision.lifecycle.machine import RollState
from dnsbound.provision.lifecycle.roll import Roll
from dnsbound.times import Moment

_MAY_SWITCH: Final = frozenset({RollState.SWITCH, RollState.RETIRE})


class RollRenewals:
    """Over the rolls of one inventory. door: named where a login confirms a key."""

    def __init__(self, inventory: Inventory, *, door: str) -> None:
        self._inventory = inventory
        self._door = door

    def renew(
        self, name: ClientName, spki: bytes, certificate: bytes | None, *, now: Moment, actor: str, reason: str
    ) -> bool:
        """Begin or go on with the roll to this key; whether the device may use it now. certificate: DER of the leaf the
        device will present, None for a bare key. EnrolmentRefused where another change is under way, or the roll would
        refuse the device somewhere."""
        found = self._under_way(name, spki)
        if found is None:
            wish = Wish.checked(spki=spki, chain=() if certificate is None else (certificate,))
            try:
                found = self._inventory.rolls.begin(name, wish, now=now, actor=actor, reason=reason)
            except NotInInventory as error:
                raise EnrolmentRefused(Because.NOT_AUTHORISED, str(error)) from error
            except RollRefused as refusal:
                # The same request may have begun it at the same moment.
                found = self._under_way(name, spki)
                if found is None:
                    raise EnrolmentRefused(Because.IN_CHANGE, str(refusal)) from refusal
        return found.state in _MAY_SWITCH

    def sighted(self, name: ClientName, spki: bytes, *, now: Moment) -> None:
        """The device logged in with this key."""
        self._inventory.rolls.sighted(name, spki, at=now, door=self._door, now=now)

    def _under_way(self, name: ClientName, spki: bytes) -> Roll | None:
        roll = self._inventory.rolls.of(name)
        if roll is None or not roll.is_open:
            return None
        if roll.new_spki != spki:
            raise EnrolmentRefused(Because.IN_CHANGE, f"{name} is being changed to another key")
        return roll
