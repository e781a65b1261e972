"""Denial by NSEC (RFC 4034 section 4, RFC 4035 section 5.4, RFC 6840 section 4), compact denial included (RFC 9824)."""

from dataclasses import dataclass
from typing import Final

import dns.rdatatype
from dns.rdtypes.ANY.NSEC import NSEC

from dnsbound.dns.answer import Outcome
from dnsbound.dns.canonical import WILDCARD, Key, common_ancestor, is_at_or_below, is_below, key_of, text_of
from dnsbound.dns.denial import Cut, Denial, NoDS, NoProof, Proof
from dnsbound.dns.signatures import Verified

NXNAME: Final = 128
"""The meta-type that marks a name that does not exist (RFC 9824 section 2)."""

TypeWindows = tuple[tuple[int, bytes], ...]


def has_type(windows: TypeWindows, rdtype: int) -> bool:
    """Whether a type bitmap holds the type (RFC 4034 section 4.1.2)."""
    high, low = divmod(rdtype, 256)
    for window, bitmap in windows:
        if window == high:
            octet = low >> 3
            return octet < len(bitmap) and bool(bitmap[octet] & (0x80 >> (low & 7)))
    return False


def delegates(windows: TypeWindows) -> bool:
    """The bitmap of a delegation point at its parent's side."""
    return has_type(windows, dns.rdatatype.NS) and not has_type(windows, dns.rdatatype.SOA)


@dataclass(frozen=True, slots=True)
class Interval:
    """One NSEC record: the owner, the next name, the types at the owner."""

    owner: Key
    next: Key
    types: TypeWindows

    def text(self) -> str:
        return f"NSEC {text_of(self.owner)} to {text_of(self.next)}"


class NsecDenials:
    """NSEC records of one zone. Owners expanded from a wildcard prove nothing and are left out (CVE-2017-15105)."""

    __slots__ = ("_intervals", "_zone")

    def __init__(self, zone: Key, verified: list[Verified]) -> None:
        self._zone = zone
        self._intervals: list[Interval] = []
        for one in verified:
            if one.wildcard is not None or not is_at_or_below(one.rrset.key, zone):
                continue
            for rdata in one.rrset.rdatas:
                if isinstance(rdata, NSEC) and is_at_or_below(upcoming := key_of(rdata.next), zone):
                    self._intervals.append(Interval(one.rrset.key, upcoming, rdata.windows))

    def deny(  # noqa: PLR0911 (one return per case)
        self, name: Key, rdtype: dns.rdatatype.RdataType, *, prefer: Outcome
    ) -> Denial | NoProof:
        """See `Denials`. The proof decides between no data and no name; the rcode is not signed."""
        del prefer  # one NSEC record says which of the two it is
        matching = self._matching(name)
        if matching is not None:
            return no_data(matching.types, name, rdtype, matching.text())
        covering = self._covering(name)
        if covering is None:
            return NoProof(f"no NSEC record covers {text_of(name)}")
        if is_below(covering.next, name):
            return Denial(Proof.PROVED, Outcome.NODATA, f"{covering.text()} (empty non-terminal)")
        wildcard = (*_closest_encloser(covering, name), WILDCARD)
        at_wildcard = self._matching(wildcard)
        if at_wildcard is not None:
            return no_data(at_wildcard.types, wildcard, rdtype, at_wildcard.text())
        over_wildcard = self._covering(wildcard)
        if over_wildcard is None:
            return NoProof(f"no NSEC record denies the wildcard {text_of(wildcard)}")
        if is_below(over_wildcard.next, wildcard):
            return Denial(Proof.PROVED, Outcome.NODATA, f"{over_wildcard.text()} (wildcard without records)")
        return Denial(Proof.PROVED, Outcome.NXDOMAIN, covering.text())

    def deny_expansion(self, name: Key, encloser: Key) -> Denial | NoProof:
        """See `Denials`."""
        covering = self._covering(name)
        if covering is None:
            return NoProof(f"no NSEC record denies {text_of(name)} itself")
        if is_below(covering.next, name):
            return NoProof(f"{text_of(name)} exists without records, so no wildcard applies to it")
        if _closest_encloser(covering, name) != encloser:
            return NoProof(f"the wildcard of {text_of(encloser)} is not the closest to {text_of(name)}")
        return Denial(Proof.PROVED, Outcome.NXDOMAIN, covering.text())

    def deny_ds(self, name: Key) -> NoDS | NoProof:
        """See `Denials`."""
        matching = self._matching(name)
        if matching is not None:
            if has_type(matching.types, NXNAME):
                return NoDS(Cut.NO_SUCH_NAME, matching.text())
            if has_type(matching.types, dns.rdatatype.SOA):
                return NoProof(f"{matching.text()} is of the child's side of the delegation")
            if has_type(matching.types, dns.rdatatype.DS):
                return NoProof(f"{matching.text()} says that DS records exist")
            delegation = has_type(matching.types, dns.rdatatype.NS)
            return NoDS(Cut.UNSIGNED_DELEGATION if delegation else Cut.NOT_A_DELEGATION, matching.text())
        denial = self.deny(name, dns.rdatatype.DS, prefer=Outcome.NODATA)
        if isinstance(denial, NoProof):
            return denial
        return NoDS(
            Cut.NO_SUCH_NAME if denial.outcome is Outcome.NXDOMAIN else Cut.NOT_A_DELEGATION,
            denial.subject,
        )

    def _matching(self, name: Key) -> Interval | None:
        return next((interval for interval in self._intervals if interval.owner == name), None)

    def _covering(self, name: Key) -> Interval | None:
        return next((interval for interval in self._intervals if self._covers(interval, name)), None)

    def _covers(self, interval: Interval, name: Key) -> bool:
        if not is_below(name, self._zone) or name <= interval.owner:
            return False
        # The last NSEC of a zone leads back to the apex.
        if name >= interval.next and interval.next != self._zone:
            return False
        # RFC 6840 section 4.1: an ancestor delegation or DNAME says nothing about names below it.
        owned_below = is_below(name, interval.owner)
        return not (owned_below and (delegates(interval.types) or has_type(interval.types, dns.rdatatype.DNAME)))


def _closest_encloser(covering: Interval, name: Key) -> Key:
    return max(common_ancestor(name, covering.owner), common_ancestor(name, covering.next), key=len)


def no_data(types: TypeWindows, name: Key, rdtype: dns.rdatatype.RdataType, subject: str) -> Denial | NoProof:
    """What the type bitmap of the very name says about a type there (RFC 4035 section 5.4, RFC 5155 section 8.5).

    subject: the record whose bitmap it is, for people.
    """
    if has_type(types, NXNAME):
        return Denial(Proof.PROVED, Outcome.NXDOMAIN, f"{subject} (NXNAME)")
    if has_type(types, rdtype):
        return NoProof(f"{subject} says that {dns.rdatatype.to_text(rdtype)} exists")
    if has_type(types, dns.rdatatype.CNAME):
        return NoProof(f"{subject} says that a CNAME exists")
    if rdtype == dns.rdatatype.DS:
        if name and has_type(types, dns.rdatatype.SOA):
            return NoProof(f"{subject} is of the child's side of the delegation")
    elif delegates(types):
        return NoProof(f"{subject} is of the parent's side of a delegation")
    return Denial(Proof.PROVED, Outcome.NODATA, subject)
