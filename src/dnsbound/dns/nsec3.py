"""Denial by NSEC3 (RFC 5155 section 8), iterations limited (RFC 9276), hashing within a budget (CVE-2023-50868)."""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Final

import dns.rdatatype
from dns.rdtypes.ANY.NSEC3 import NSEC3

from dnsbound.dns.answer import Outcome
from dnsbound.dns.canonical import WILDCARD, Key, is_at_or_below, text_of, wire_of
from dnsbound.dns.denial import Cut, Denial, NoDS, NoProof, Proof
from dnsbound.dns.nsec import NXNAME, TypeWindows, delegates, has_type, no_data
from dnsbound.dns.policy import Work
from dnsbound.dns.signatures import Verified

_SHA1: Final = 1
_OPT_OUT: Final = 1
_HASH_OCTETS: Final = 20


@dataclass(frozen=True, slots=True)
class Hashed:
    """One NSEC3 record: the hash of its owner, the next hash, the types at the owner."""

    owner: bytes
    next: bytes
    types: TypeWindows
    opt_out: bool

    def covers(self, digest: bytes) -> bool:
        if self.owner < self.next:
            return self.owner < digest < self.next
        return digest > self.owner or digest < self.next

    def text(self) -> str:
        return f"NSEC3 {base64.b32hexencode(self.owner).decode().lower()}"


@dataclass(frozen=True, slots=True)
class _Encloser:
    """RFC 5155 section 8.3: the closest encloser, and the record that covers the next closer name."""

    key: Key
    covering: Hashed


class Nsec3Denials:
    """NSEC3 records of one zone and one parameter set; records of other sets or unknown kind are left out."""

    __slots__ = ("_digests", "_iterations", "_records", "_salt", "_work", "_zone", "too_costly")

    def __init__(self, zone: Key, verified: list[Verified], work: Work) -> None:
        self._zone = zone
        self._work = work
        self._records: list[Hashed] = []
        self._salt = b""
        self._iterations = 0
        self._digests: dict[Key, bytes] = {}
        self.too_costly = False
        parameters: tuple[bytes, int] | None = None
        for one in verified:
            owner = _owner_hash(one, zone)
            for rdata in one.rrset.rdatas:
                if owner is None or not isinstance(rdata, NSEC3) or not _understood(rdata):
                    continue
                if parameters is None:
                    parameters = self._salt, self._iterations = rdata.salt, rdata.iterations
                if parameters == (rdata.salt, rdata.iterations):
                    opt_out = bool(rdata.flags & _OPT_OUT)
                    self._records.append(Hashed(owner, rdata.next, rdata.windows, opt_out))
        self.too_costly = self._iterations > work.nsec3_iterations

    def deny(  # noqa: PLR0911 (one return per case of section 8)
        self, name: Key, rdtype: dns.rdatatype.RdataType, *, prefer: Outcome
    ) -> Denial | NoProof:
        """See `Denials`."""
        if self.too_costly:
            return Denial(Proof.TOO_COSTLY, prefer, self._cost())
        if not is_at_or_below(name, self._zone):
            return NoProof(f"{text_of(name)} is not in the zone {text_of(self._zone)}")
        matching = self._matching(name)
        if matching is not None:
            return no_data(matching.types, name, rdtype, f"{matching.text()} of {text_of(name)}")
        encloser = self._closest_encloser(name)
        if isinstance(encloser, NoProof):
            return encloser
        wildcard = (*encloser.key, WILDCARD)
        subject = f"{encloser.covering.text()}, closest encloser {text_of(encloser.key)}"
        proof = Proof.OPT_OUT if encloser.covering.opt_out else Proof.PROVED
        at_wildcard = self._matching(wildcard)
        if at_wildcard is not None:
            denial = no_data(at_wildcard.types, wildcard, rdtype, f"{at_wildcard.text()} of {text_of(wildcard)}")
            return denial if isinstance(denial, NoProof) else Denial(proof, denial.outcome, denial.subject)
        if rdtype == dns.rdatatype.DS and encloser.covering.opt_out:
            return Denial(Proof.OPT_OUT, prefer, subject)
        if self._covering(wildcard) is not None:
            return Denial(proof, Outcome.NXDOMAIN, subject)
        if encloser.covering.opt_out and prefer is Outcome.NODATA:
            # An empty non-terminal above unsigned delegations alone is not in the chain (RFC 5155 erratum 3441).
            return Denial(Proof.OPT_OUT, prefer, subject)
        return NoProof(f"no NSEC3 record denies the wildcard {text_of(wildcard)}")

    def deny_expansion(self, name: Key, encloser: Key) -> Denial | NoProof:
        """See `Denials`: the encloser is known from the RRSIG, so the next closer name alone must be covered."""
        if self.too_costly:
            return Denial(Proof.TOO_COSTLY, Outcome.NXDOMAIN, self._cost())
        covering = self._covering(name[: len(encloser) + 1])
        if covering is None:
            return NoProof(f"no NSEC3 record denies {text_of(name[: len(encloser) + 1])}")
        # RFC 5155 section 9.2: under opt-out an unsigned delegation may stand where the wildcard was expanded.
        proof = Proof.OPT_OUT if covering.opt_out else Proof.PROVED
        return Denial(proof, Outcome.NXDOMAIN, f"{covering.text()}, closest encloser {text_of(encloser)}")

    def deny_ds(self, name: Key) -> NoDS | NoProof:  # noqa: PLR0911 (one return per case)
        """See `Denials`. Where hashing is too costly or opt-out covers the name, the rest counts as unsigned."""
        if self.too_costly:
            return NoDS(Cut.UNSIGNED_DELEGATION, self._cost())
        matching = self._matching(name)
        if matching is None:
            denial = self.deny(name, dns.rdatatype.DS, prefer=Outcome.NODATA)
            if isinstance(denial, NoProof):
                return denial
            if denial.proof is Proof.OPT_OUT:
                return NoDS(Cut.UNSIGNED_DELEGATION, f"{denial.subject}, opt-out")
            no_name = denial.outcome is Outcome.NXDOMAIN
            return NoDS(Cut.NO_SUCH_NAME if no_name else Cut.NOT_A_DELEGATION, denial.subject)
        if name and has_type(matching.types, dns.rdatatype.SOA):
            return NoProof(f"{matching.text()} is of the child's side of the delegation")
        if has_type(matching.types, dns.rdatatype.DS):
            return NoProof(f"{matching.text()} says that DS records exist")
        if has_type(matching.types, NXNAME):
            return NoDS(Cut.NO_SUCH_NAME, matching.text())
        delegation = has_type(matching.types, dns.rdatatype.NS)
        return NoDS(Cut.UNSIGNED_DELEGATION if delegation else Cut.NOT_A_DELEGATION, matching.text())

    def _closest_encloser(self, name: Key) -> _Encloser | NoProof:
        """RFC 5155 section 8.3, from the longest candidate up; the name itself is known not to match."""
        for depth in range(len(name) - 1, len(self._zone) - 1, -1):
            matching = self._matching(name[:depth])
            if matching is None:
                continue
            if has_type(matching.types, dns.rdatatype.DNAME) or delegates(matching.types):
                return NoProof(f"{matching.text()}, closest encloser {text_of(name[:depth])}, is a delegation or DNAME")
            covering = self._covering(name[: depth + 1])
            if covering is None:
                return NoProof(f"no NSEC3 record covers the next closer name {text_of(name[: depth + 1])}")
            return _Encloser(name[:depth], covering)
        return NoProof(f"no NSEC3 record shows a closest encloser of {text_of(name)}")

    def _matching(self, name: Key) -> Hashed | None:
        digest = self._digest(name)
        return next((record for record in self._records if record.owner == digest), None)

    def _covering(self, name: Key) -> Hashed | None:
        digest = self._digest(name)
        return next((record for record in self._records if record.covers(digest)), None)

    def _digest(self, name: Key) -> bytes:
        """RFC 5155 section 5."""
        known = self._digests.get(name)
        if known is not None:
            return known
        if not self._records:
            return b""
        self._work.hashes.spend(self._iterations + 1)
        digest = self._digests[name] = digest_of(name, self._salt, self._iterations)
        return digest

    def _cost(self) -> str:
        return f"NSEC3 with {self._iterations} iterations, more than {self._work.nsec3_iterations}"


def digest_of(name: Key, salt: bytes, iterations: int) -> bytes:
    """The hash of a name, 20 octets (RFC 5155 section 5)."""
    digest = wire_of(name)
    for _ in range(iterations + 1):
        digest = hashlib.sha1(digest + salt, usedforsecurity=False).digest()
    return digest


def digest_of_label(label: bytes) -> bytes | None:
    """The hash that an owner's first label spells in base32hex (RFC 5155 section 3.3)."""
    try:
        digest = base64.b32hexdecode(label.upper())
    except (binascii.Error, ValueError):
        return None
    return digest if len(digest) == _HASH_OCTETS else None


def _understood(rdata: NSEC3) -> bool:
    """RFC 5155 sections 8.1 and 8.2: unknown hash algorithms and unknown flags mean the record is ignored."""
    return rdata.algorithm == _SHA1 and rdata.flags & ~_OPT_OUT == 0 and len(rdata.next) == _HASH_OCTETS


def _owner_hash(one: Verified, zone: Key) -> bytes | None:
    """The hash in the owner's first label, where the owner is directly below the zone; else None."""
    owner = one.rrset.key
    if one.wildcard is not None or owner[:-1] != zone or not owner:
        return None
    return digest_of_label(owner[-1])
