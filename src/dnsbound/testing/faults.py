"""What World may do wrong on request, per name or per zone, and the signer that does it.

A fault changes what World's network faces say. Zone content, keys and every clock stay as they are: expired and not yet
valid signatures are made by skewing the signature's window.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype

from dnsbound.dns.authority_zone import EMPTY_NON_TERMINAL, RRsets, Zone, ZoneData
from dnsbound.dns.signer import Signer, Spend, ZoneKeys, free

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dns.rdtypes.ANY.RRSIG import RRSIG

    from dnsbound.times import Moment, Seconds

_SKEW: Final = 2 * 86_400
"""Seconds by which expired and future windows are off: well beyond any tolerance for slow clocks."""


class Fault(StrEnum):
    """One way to be wrong."""

    BOGUS = "bogus"
    """Signatures that do not verify."""
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    STRIPPED = "stripped"
    """No RRSIG records at all, although the zone is signed."""
    SLOW = "slow"
    """Answers after `seconds`."""
    DEAD = "dead"
    """Never answers."""
    SERVFAIL = "servfail"
    LYING = "lying"
    """Other records in place of the true ones, with AD set and signatures that do not fit them."""
    REPLAYED = "replayed"
    """The RRsets as they stood when the fault was set, under signatures that have expired since."""
    REPLAYED_IN_TIME = "replayed-in-time"
    """The same while the old signatures still hold: what DNSSEC cannot tell apart from the truth."""


_BAD_SIGNATURE: Final = frozenset({Fault.BOGUS, Fault.LYING})
_SKEWED: Final[Mapping[Fault, Seconds]] = {
    Fault.EXPIRED: -_SKEW,
    Fault.REPLAYED: -_SKEW,
    Fault.NOT_YET_VALID: _SKEW,
}


@dataclass(frozen=True, slots=True)
class FaultSet:
    """One fault in force."""

    fault: Fault
    seconds: Seconds = 0.0
    instead: RRsets | None = None
    """What is served at the name in place of the truth."""


@dataclass(slots=True)
class FaultTable:
    """Faults by name; those of a zone hold for every name it is authoritative for."""

    names: dict[dns.name.Name, FaultSet] = field(default_factory=dict)
    zones: dict[dns.name.Name, FaultSet] = field(default_factory=dict)

    def at(self, name: dns.name.Name, zone: dns.name.Name | None) -> FaultSet | None:
        """The fault of a name, or else of the zone it is in."""
        return self.names.get(name) or (self.zones.get(zone) if zone is not None else None)

    def clear(self, name: dns.name.Name) -> None:
        self.names.pop(name, None)
        self.zones.pop(name, None)

    def seen_through(self, zone: Zone) -> Zone:
        """The zone with the records that faults put in place of its own."""
        if not any(fault.instead is not None for fault in self.names.values()):
            return zone
        return Zone(_Overlaid(zone.data, self), zone.keys)


@dataclass(frozen=True, slots=True)
class _Overlaid:
    """Zone content as a liar tells it."""

    data: ZoneData
    table: FaultTable

    @property
    def origin(self) -> dns.name.Name:
        return self.data.origin

    def lookup(self, name: dns.name.Name) -> RRsets | None:
        fault = self.table.names.get(name)
        if fault is not None and fault.instead is not None:
            return {**(self.data.lookup(name) or {}), **fault.instead}
        node = self.data.lookup(name)
        if node is None and any(
            told.is_subdomain(name) and self.table.names[told].instead for told in self.table.names
        ):
            return EMPTY_NON_TERMINAL
        return node


_NO_SIGNATURES: Final = dns.rdataset.Rdataset(dns.rdataclass.IN, dns.rdatatype.RRSIG)


class FaultySigner(Signer):
    """Signs as the fault of each owner name demands. May be used from several threads."""

    def __init__(self, table: FaultTable, *, validity: int | None = None) -> None:
        super().__init__(validity=validity)
        self._table = table
        self._skewed = {fault: _SkewedSigner(by, validity) for fault, by in _SKEWED.items()}
        self._lock = threading.Lock()

    def sign(
        self,
        owner: dns.name.Name,
        rdataset: dns.rdataset.Rdataset,
        keys: ZoneKeys,
        *,
        now: Moment,
        spend: Spend = free,
    ) -> dns.rdataset.Rdataset:
        fault = self._table.at(owner, keys.origin)
        if fault is not None and fault.fault is Fault.STRIPPED:
            return _NO_SIGNATURES
        with self._lock:
            if fault is not None and fault.fault in self._skewed:
                return self._skewed[fault.fault].sign(owner, rdataset, keys, now=now, spend=spend)
            made = super().sign(owner, rdataset, keys, now=now, spend=spend)
        if fault is not None and fault.fault in _BAD_SIGNATURE:
            return dns.rdataset.ImmutableRdataset(
                dns.rdataset.from_rdata_list(made.ttl, [_damaged(rrsig) for rrsig in made])
            )
        return made


class _SkewedSigner(Signer):
    def __init__(self, by: Seconds, validity: int | None) -> None:
        super().__init__(validity=validity)
        self._by = by

    def window(self, now: Moment) -> tuple[Moment, Moment]:
        inception, expiration = super().window(now)
        return inception + self._by, expiration + self._by


def _damaged(rrsig: RRSIG) -> RRSIG:
    octets = bytearray(rrsig.signature)
    octets[-1] ^= 1
    return rrsig.replace(signature=bytes(octets))  # type: ignore[return-value] # the same class
