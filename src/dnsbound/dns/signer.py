"""Online signing: zone keys as values, and RRSIGs made when they are asked for.

A zone has one combined signing key by default (a CSK: the key that DS points at also signs the records), or a KSK and
ZSKs. Every key signs at most what `ZoneKeys` says; the rules that make a roll safe at any moment are

* every key of the zone is in the DNSKEY RRset, and every key with the SEP flag signs that RRset, so that DS may be
  exchanged whenever the parent gets to it (RFC 6781 section 4.1.2);
* only active keys sign everything else, but each algorithm in the DNSKEY RRset signs (RFC 4035 section 2.2).

Signatures live for an hour at most unless configured otherwise, and reach a little into the past for validators whose
clocks are slow. They are kept and reused until half of their life is over. This module reads no clock: `now` is an
argument. It keeps no key in a file: `edge/zone_key_files.py` does.

Sections: RFC 4034 (records), RFC 4035 section 2, RFC 6781 (rolls), RFC 9904 (algorithms).
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Protocol, Self, TypeAlias

import dns.dnssec
import dns.name
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from dns.dnssectypes import Algorithm, DSDigest
from dns.rdtypes.dnskeybase import Flag

from dnsbound.errors import Malformed, Misuse
from dnsbound.limits import SIGNATURE_CACHE, SIGNATURE_SECONDS

if TYPE_CHECKING:
    from dns.rdtypes.ANY.DNSKEY import DNSKEY
    from dns.rdtypes.ANY.DS import DS
    from dns.rdtypes.ANY.RRSIG import RRSIG

    from dnsbound.times import Moment, Seconds

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

BACKDATED_SECONDS: Final = 300
"""How far inception lies before `now`, for validators with slow clocks; never more than a quarter of the validity."""

_ZONE: Final = Flag.ZONE
_ZONE_AND_SEP: Final = Flag.ZONE | Flag.SEP
_PEM_NOTE: Final = "dnsbound zone key: "
_PEM_BEGIN: Final = "-----BEGIN PRIVATE KEY-----"
_PEM_END: Final = "-----END PRIVATE KEY-----"


class KeyRole(enum.StrEnum):
    """What a key signs."""

    CSK = "csk"
    """Everything; DS points at it."""
    KSK = "ksk"
    """The DNSKEY RRset; DS points at it."""
    ZSK = "zsk"
    """Everything but the DNSKEY RRset."""


class KeyState(enum.StrEnum):
    """Where a key stands in its life."""

    PUBLISHED = "published"
    """In the DNSKEY RRset, so that caches learn it, and not yet signing."""
    ACTIVE = "active"
    RETIRED = "retired"
    """No longer signing; kept in the DNSKEY RRset until its signatures have left all caches."""


@dataclass(frozen=True, slots=True)
class ZoneKey:
    """One private key of a zone. Its text form never shows the key."""

    private_key: PrivateKey = field(repr=False)
    role: KeyRole = KeyRole.CSK
    state: KeyState = KeyState.ACTIVE
    dnskey: DNSKEY = field(init=False)
    tag: int = field(init=False)

    def __post_init__(self) -> None:
        algorithm = _algorithm_of(self.private_key)
        flags = _ZONE if self.role is KeyRole.ZSK else _ZONE_AND_SEP
        dnskey = dns.dnssec.make_dnskey(self.private_key.public_key(), algorithm, flags)
        object.__setattr__(self, "dnskey", dnskey)
        object.__setattr__(self, "tag", dns.dnssec.key_id(dnskey))

    @classmethod
    def generate(
        cls,
        algorithm: Algorithm = Algorithm.ECDSAP256SHA256,
        *,
        role: KeyRole = KeyRole.CSK,
        state: KeyState = KeyState.ACTIVE,
    ) -> Self:
        """A fresh key. algorithm: 13 (P-256) or 15 (Ed25519); anything else is Misuse."""
        private_key: PrivateKey
        if algorithm == Algorithm.ECDSAP256SHA256:
            private_key = ec.generate_private_key(ec.SECP256R1())
        elif algorithm == Algorithm.ED25519:
            private_key = ed25519.Ed25519PrivateKey.generate()
        else:
            raise Misuse(f"zones are signed with algorithm 13 or 15, not {int(algorithm)}")
        return cls(private_key, role, state)

    @property
    def is_entry(self) -> bool:
        """A key DS may point at (the SEP flag)."""
        return self.role is not KeyRole.ZSK


@dataclass(frozen=True, slots=True)
class ZoneKeys:
    """All keys of one zone. At least one key signs DNSKEY and at least one signs the rest."""

    origin: dns.name.Name
    keys: tuple[ZoneKey, ...]
    fingerprint: tuple[bytes, ...] = field(init=False, repr=False, compare=False)
    """Tells signatures of different key sets apart in the signature cache."""

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "fingerprint", tuple(key.state.encode() + key.dnskey.to_digestable() for key in self.keys)
        )
        if not any(key.is_entry for key in self.keys):
            raise Misuse(f"zone {self.origin} has no key that DS could point at")
        if not any(key.state is KeyState.ACTIVE and key.role is not KeyRole.KSK for key in self.keys):
            raise Misuse(f"zone {self.origin} has no active key that signs its records")
        if len({(key.tag, key.dnskey.algorithm) for key in self.keys}) != len(self.keys):
            raise Misuse(f"zone {self.origin} has two keys of one tag; make another one")

    @classmethod
    def generate(cls, origin: dns.name.Name, algorithm: Algorithm = Algorithm.ECDSAP256SHA256) -> Self:
        """One combined signing key."""
        return cls(origin, (ZoneKey.generate(algorithm),))

    def signers_of(self, rdtype: dns.rdatatype.RdataType) -> tuple[ZoneKey, ...]:
        """The keys that sign an RRset of this type."""
        if rdtype == dns.rdatatype.DNSKEY:
            return tuple(key for key in self.keys if key.is_entry)
        signers = [key for key in self.keys if key.role is not KeyRole.KSK and key.state is KeyState.ACTIVE]
        covered = {key.dnskey.algorithm for key in signers}
        for key in self.keys:
            if key.role is not KeyRole.KSK and key.dnskey.algorithm not in covered:
                signers.append(key)
                covered.add(key.dnskey.algorithm)
        return tuple(signers)

    def dnskey_rdataset(self, ttl: int) -> dns.rdataset.Rdataset:
        return dns.rdataset.ImmutableRdataset(dns.rdataset.from_rdata_list(ttl, [key.dnskey for key in self.keys]))

    def ds(self, digest: DSDigest = DSDigest.SHA256) -> tuple[DS, ...]:
        """What the parent publishes: one DS per entry key that is not retired."""
        return tuple(
            dns.dnssec.make_ds(self.origin, key.dnskey, digest)
            for key in self.keys
            if key.is_entry and key.state is not KeyState.RETIRED
        )

    def with_prepublished(self, key: ZoneKey) -> Self:
        """First step of a roll: the new key appears in DNSKEY and signs nothing but that RRset."""
        return replace(self, keys=(*self.keys, replace(key, state=KeyState.PUBLISHED)))

    def with_activated(self, tag: int) -> Self:
        """Second step: the key of this tag signs, and the ones of its role that signed until now are retired."""
        new = self.key(tag)
        return replace(self, keys=tuple(self._rolled_to(new, key) for key in self.keys))

    def without(self, tag: int) -> Self:
        """Last step, once caches have forgotten: the key of this tag is gone."""
        gone = self.key(tag)
        return replace(self, keys=tuple(key for key in self.keys if key is not gone))

    def key(self, tag: int) -> ZoneKey:
        """The key of this tag; Misuse when there is none, or more than one."""
        found = [key for key in self.keys if key.tag == tag]
        if len(found) != 1:
            raise Misuse(f"zone {self.origin} has {len(found) or 'no'} keys of tag {tag}")
        return found[0]

    def to_pem(self) -> bytes:
        """All keys as PKCS#8 PEM, each under a line that says its role and state. Secret: a file of it is 0600."""
        return b"".join(_key_to_pem(key) for key in self.keys)

    @classmethod
    def parse_pem(cls, origin: dns.name.Name, octets: bytes) -> Self:
        """Read what `to_pem` wrote. A PEM key without the line above it is an active CSK. Malformed otherwise."""
        keys = _keys_from_pem(octets)
        if not keys:
            raise Malformed("zone key file holds no PKCS#8 PEM private key")
        try:
            return cls(origin, keys)
        except Misuse as error:
            raise Malformed(f"zone key file: {error}") from None

    @staticmethod
    def _rolled_to(new: ZoneKey, key: ZoneKey) -> ZoneKey:
        if key is new:
            return replace(key, state=KeyState.ACTIVE)
        if key.role is new.role and key.state is KeyState.ACTIVE:
            return replace(key, state=KeyState.RETIRED)
        return key


class Spend(Protocol):
    """Pays for one fresh signature, or raises LimitExceeded."""

    def __call__(self) -> None: ...


def free() -> None:
    """A `Spend` that charges nothing."""


class Signer:
    """Makes RRSIG sets and remembers them for as long as they are worth repeating.

    validity: seconds from inception to expiration (limits.SIGNATURE_SECONDS). cache: entries kept for answers, and as
    many again for denials, so that a flood of random names cannot push the answers out.
    """

    def __init__(self, *, validity: int | None = None, cache: int | None = None) -> None:
        self._validity = SIGNATURE_SECONDS.checked(validity)
        size = SIGNATURE_CACHE.checked(cache)
        self._answers = _SignatureCache(size)
        self._denials = _SignatureCache(size)

    def sign(
        self,
        owner: dns.name.Name,
        rdataset: dns.rdataset.Rdataset,
        keys: ZoneKeys,
        *,
        now: Moment,
        spend: Spend = free,
    ) -> dns.rdataset.Rdataset:
        """The RRSIGs over one RRset; owner is the wildcard itself for records synthesised from one. A signer that
        returns an empty set leaves the RRset unsigned."""
        cache = self._denials if rdataset.rdtype == dns.rdatatype.NSEC else self._answers
        key = (owner, keys.origin, keys.fingerprint, *_content(rdataset))
        kept = cache.find(key, now)
        if kept is not None:
            return kept
        inception, expiration = self.window(now)
        signatures: list[RRSIG] = []
        for zone_key in keys.signers_of(rdataset.rdtype):
            spend()
            signatures.append(
                dns.dnssec.sign(
                    (owner, rdataset),
                    zone_key.private_key,
                    keys.origin,
                    zone_key.dnskey,
                    inception=int(inception),
                    expiration=int(expiration),
                )
            )
        made = dns.rdataset.ImmutableRdataset(dns.rdataset.from_rdata_list(rdataset.ttl, signatures))
        cache.keep(key, made, inception, now + (expiration - now) / 2)
        return made

    def window(self, now: Moment) -> tuple[Moment, Moment]:
        """Inception and expiration of a signature made now."""
        backdated: Seconds = min(BACKDATED_SECONDS, self._validity // 4)
        return now - backdated, now - backdated + self._validity


class _SignatureCache:
    """Least recently used of a bounded number of RRSIG sets, each with the span in which it may be repeated."""

    __slots__ = ("_entries", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[tuple[object, ...], tuple[dns.rdataset.Rdataset, Moment, Moment]] = OrderedDict()

    def find(self, key: tuple[object, ...], now: Moment) -> dns.rdataset.Rdataset | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        signatures, not_before, not_after = entry
        if not not_before <= now < not_after:
            self._entries.pop(key, None)
            return None
        self._entries.move_to_end(key)
        return signatures

    def keep(self, key: tuple[object, ...], made: dns.rdataset.Rdataset, not_before: Moment, not_after: Moment) -> None:
        self._entries[key] = (made, not_before, not_after)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)


def _content(rdataset: dns.rdataset.Rdataset) -> tuple[object, ...]:
    return (rdataset.rdtype, rdataset.ttl, tuple(sorted(rdata.to_digestable() for rdata in rdataset)))


def _algorithm_of(private_key: object) -> Algorithm:
    if isinstance(private_key, ec.EllipticCurvePrivateKey) and isinstance(private_key.curve, ec.SECP256R1):
        return Algorithm.ECDSAP256SHA256
    if isinstance(private_key, ed25519.Ed25519PrivateKey):
        return Algorithm.ED25519
    raise Misuse("a zone key is a P-256 or an Ed25519 private key")


def _key_to_pem(key: ZoneKey) -> bytes:
    note = f"{_PEM_NOTE}role={key.role} state={key.state} algorithm={int(key.dnskey.algorithm)} tag={key.tag}\n"
    return note.encode() + key.private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _keys_from_pem(octets: bytes) -> tuple[ZoneKey, ...]:
    try:
        lines = octets.decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        raise Malformed("zone key file is not PEM text", error.start) from None
    keys: list[ZoneKey] = []
    note = ""
    block: list[str] = []
    for line in lines:
        if line.startswith(_PEM_NOTE):
            note = line.removeprefix(_PEM_NOTE)
        elif line == _PEM_BEGIN or block:
            block.append(line)
        if line == _PEM_END and block:
            keys.append(_key_from_block("\n".join([*block, ""]), note))
            note = ""
            block.clear()
    if block:
        raise Malformed("zone key file ends inside a PEM block")
    return tuple(keys)


def _key_from_block(pem: str, note: str) -> ZoneKey:
    try:
        private_key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Malformed("zone key file holds a PEM private key that cannot be read") from None
    words = dict(word.partition("=")[::2] for word in note.split())
    try:
        role, state = KeyRole(words.get("role", KeyRole.CSK)), KeyState(words.get("state", KeyState.ACTIVE))
    except ValueError:
        raise Malformed(f"zone key file has an unknown role or state: {note}") from None
    try:
        return ZoneKey(private_key, role, state)  # type: ignore[arg-type] # its class is checked by ZoneKey
    except Misuse as error:
        raise Malformed(f"zone key file: {error}") from None
