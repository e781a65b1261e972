"""Matching TLSA records against what a client presented (RFC 6698, RFC 7671).

Every record gets a result that says what became of it. Order: usage 3, then 2, then 1 and 0, so that a matching key
is enough whatever the certificate's names say. Usage 3 compares octets and nothing else: names and dates are ignored,
and the possession of the key, known to the caller, is the whole proof (RFC 7671 section 5.1); its key is found in the
certificate by position, without parsing the rest. The strength of that key is the TLS stack's policy. Whether a client
may come in is decided in `dnsbound.verify.engine`.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hmac import compare_digest
from typing import Final

from dnsbound.credential.association import DIGESTS
from dnsbound.credential.keys import public_key_from_spki
from dnsbound.credential.path import (
    Path,
    PathCertificate,
    PathRules,
    authority_from_der,
    check_path,
    is_signed_by_key,
    pool_of,
    signed_paths,
)
from dnsbound.credential.presented import EarlierMatch, Presented
from dnsbound.errors import Malformed, Misuse, Reason, Refused
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.limits import PATH_STEPS, PEER_CERTIFICATES, TLSA_RECORDS, Budget
from dnsbound.names import ClientName
from dnsbound.records.tlsa import TLSA
from dnsbound.times import Moment, iso

DIGEST_ORDER: Final = (MatchingType.SHA2_512, MatchingType.SHA2_256)
"""RFC 7671 section 9: strongest first."""


class RecordState(StrEnum):
    """What became of one record."""

    MATCHED = "matched"
    MISMATCH = "mismatch"
    """Usable, and the credential is not the one it names."""
    UNUSABLE = "unusable"
    """RFC 6698 section 4.1: malformed, unknown, or not enabled here."""
    SUPERSEDED = "superseded"
    """RFC 7671 section 9: the same usage and selector is published with a stronger digest."""
    NOT_TRIED = "not-tried"
    """Another record had matched already."""


@dataclass(frozen=True, slots=True)
class RecordResult:
    """One record and what became of it. reason and why are set unless it matched."""

    record: TLSA
    state: RecordState
    reason: Reason | None = None
    why: str = ""
    chain_expires: Moment | None = None
    """Of a record of usages 0 to 2 that matched: when the first certificate of its path ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchPolicy:
    """What a verifier accepts. The default takes usages 3 and 2 (RFC 7671 section 4 advises against all four)."""

    usages: frozenset[Usage] = frozenset({Usage.DANE_EE, Usage.DANE_TA})
    roots: tuple[bytes, ...] = ()
    """DER certificates of the authorities that usages 0 and 1 need."""
    digest_order: tuple[MatchingType, ...] = DIGEST_ORDER
    """Digests that count, strongest first; records with others are unusable."""
    danger_weak_crypto: bool = False
    """Take RSA keys below 2048 bits and odd curves in the paths of usages 0 to 2. MD5 and SHA-1 are never taken."""
    danger_wildcard_keys: bool = False
    """Take usage 1 and 3 records that a wildcard made: whoever holds that key is every name below it."""

    def __post_init__(self) -> None:
        if not self.usages:
            raise Misuse("a policy without any certificate usage admits nobody")
        if self.usages & {Usage.PKIX_TA, Usage.PKIX_EE} and not self.roots:
            raise Misuse("certificate usages 0 and 1 need configured roots")
        if MatchingType.FULL in self.digest_order or len(set(self.digest_order)) != len(self.digest_order):
            raise Misuse("the digest order lists digests, each once")
        for root in self.roots:
            _parsed_root(root)

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 over all of it: what matched under one policy is no match under another."""
        words = (
            *(f"usage {usage.value}" for usage in sorted(self.usages)),
            *sorted(f"root {hashlib.sha256(root).hexdigest()}" for root in self.roots),
            *(f"digest {digest.value}" for digest in self.digest_order),
            f"weak crypto {self.danger_weak_crypto}",
            f"wildcard keys {self.danger_wildcard_keys}",
        )
        return hashlib.sha256("\n".join(words).encode()).digest()


@dataclass(frozen=True, slots=True)
class MatchReport:
    """A result for every record, in the order they were tried."""

    results: tuple[RecordResult, ...]

    @property
    def matched(self) -> RecordResult:
        """The first record that matched. Refused with the most telling reason when none did."""
        for result in self.results:
            if result.state is RecordState.MATCHED:
                return result
        raise self.refusal

    @property
    def refusal(self) -> Refused:
        """Why none of the records let the client in."""
        if not self.results:
            return Refused(Reason.TLSA_UNUSABLE, "there is no TLSA record")
        results = sorted(self.results, key=lambda result: _TELLING.index(result.reason or Reason.TLSA_MISMATCH))
        told = [f"{result.record.parameters}: {result.why}" for result in results[:_RECORDS_TOLD]]
        if len(results) > _RECORDS_TOLD:
            told.append(f"and {len(results) - _RECORDS_TOLD} more records")
        return Refused(results[0].reason or Reason.TLSA_MISMATCH, "; ".join(told))


_RECORDS_TOLD: Final = 4
"""A refusal's detail is one line; `MatchReport.results` has them all."""

_TELLING: Final = (
    Reason.NAME_NOT_IN_CERTIFICATE,
    Reason.CHAIN_INVALID,
    Reason.WILDCARD_KEY,
    Reason.TLSA_MISMATCH,
    Reason.TLSA_UNUSABLE,
)
"""Most telling first: how far the best record got."""


def match(
    records: Sequence[TLSA],
    presented: Presented,
    *,
    name: ClientName,
    now: Moment,
    policy: MatchPolicy,
    from_wildcard: bool = False,
    exhaustive: bool = False,
) -> MatchReport:
    """Try the records until one matches, or all of them if `exhaustive`.

    name: whom usages 0 to 2 must find in the certificate. now: for the validity of their paths. from_wildcard: the
    records were synthesised. LimitExceeded when the presented certificates would cost too much work.
    """
    matcher = _Matcher(presented, PathRules(name=name, now=now, danger_weak_crypto=policy.danger_weak_crypto), policy)
    results: list[RecordResult] = []
    usable: list[TLSA] = []
    if len(records) > TLSA_RECORDS.default:
        # Which ones are looked at must not depend on the order an answer happens to have.
        records = sorted(records)
    for position, record in enumerate(records):
        refused = _unusable(record, presented, policy, from_wildcard=from_wildcard)
        if refused is None and position >= TLSA_RECORDS.default:
            refused = RecordResult(
                record, RecordState.UNUSABLE, Reason.TLSA_UNUSABLE, "more records than are looked at"
            )
        if refused is None:
            usable.append(record)
        else:
            results.append(refused)
    current, superseded = _strongest(usable, policy.digest_order)
    done = False
    tried: list[RecordResult] = []
    for record in sorted(current, key=_preference) if len(current) > 1 else current:
        if done and not exhaustive:
            tried.append(RecordResult(record, RecordState.NOT_TRIED))
            continue
        result = matcher.judge(record)
        done = done or result.state is RecordState.MATCHED
        tried.append(result)
    return MatchReport((*tried, *superseded, *results))


def _preference(record: TLSA) -> tuple[int, int, int, bytes]:
    return -record.usage, -record.selector, -record.matching_type, record.data


def _unusable(record: TLSA, presented: Presented, policy: MatchPolicy, *, from_wildcard: bool) -> RecordResult | None:
    reason, why = Reason.TLSA_UNUSABLE, record.unusable_because
    if why is None:
        if record.usage not in policy.usages:
            why = f"certificate usage {record.usage} is not enabled here"
        elif record.matching_type != MatchingType.FULL and record.matching_type not in policy.digest_order:
            why = f"matching type {record.matching_type} is not enabled here"
        elif presented.raw_public_key is not None and (record.usage, record.selector) != (3, 1):
            why = "a raw public key is matched by usage 3 with selector 1 alone"
        elif presented.digests is not None and (record.usage, presented.digests.are_of(record)) != (3, True):
            why = "of the leaf only digests are known, and none that this record could be compared with"
        elif from_wildcard and record.usage in _NAMES_ONE_KEY and not policy.danger_wildcard_keys:
            reason, why = Reason.WILDCARD_KEY, "the record comes from a wildcard: one key for every name"
        else:
            return None
    return RecordResult(record, RecordState.UNUSABLE, reason, why)


_NAMES_ONE_KEY: Final = frozenset({int(Usage.PKIX_EE), int(Usage.DANE_EE)})


def _strongest(records: list[TLSA], order: Sequence[MatchingType]) -> tuple[list[TLSA], list[RecordResult]]:
    """RFC 7671 section 9: for each usage and selector, full data and the strongest digest present."""
    if len(records) < 2:
        return records, []
    best: dict[tuple[int, int], int] = {}
    for record in records:
        if record.matching_type != MatchingType.FULL:
            key, rank = (record.usage, record.selector), order.index(MatchingType(record.matching_type))
            best[key] = min(rank, best.get(key, rank))
    current: list[TLSA] = []
    superseded: list[RecordResult] = []
    for record in records:
        wanted = best.get((record.usage, record.selector))
        if wanted is None or record.matching_type in (MatchingType.FULL, order[wanted]):
            current.append(record)
        else:
            why = f"matching type {order[wanted].value} is published too and is stronger"
            superseded.append(RecordResult(record, RecordState.SUPERSEDED, Reason.TLSA_MISMATCH, why))
    return current, superseded


class _Matcher:
    """Judges records for one presented credential; what one record had to compute serves the next."""

    __slots__ = ("_budget", "_leaf_octets", "_policy", "_presented", "_rules")

    def __init__(self, presented: Presented, rules: PathRules, policy: MatchPolicy) -> None:
        self._presented = presented
        self._rules = rules
        self._policy = policy
        self._budget = Budget(PATH_STEPS)
        self._leaf_octets: dict[int, bytes] = {}

    def judge(self, record: TLSA) -> RecordResult:
        expires: Moment | None = None
        try:
            if record.usage == Usage.DANE_EE:
                self._expect_leaf(record)
            elif self._presented.earlier is not None:
                expires = self._expect_earlier(record, self._presented.earlier)
            elif record.usage == Usage.DANE_TA:
                expires = self._find_published_authority(record)
            elif record.usage == Usage.PKIX_EE:
                self._expect_leaf(record)
                expires = self._find_configured_root(record=None)
            else:
                expires = self._find_configured_root(record)
        except Refused as refusal:
            return RecordResult(record, RecordState.MISMATCH, refusal.reason, refusal.detail)
        except Malformed as error:
            reason = Reason.TLSA_MISMATCH if record.usage == Usage.DANE_EE else Reason.CHAIN_INVALID
            return RecordResult(record, RecordState.MISMATCH, reason, str(error))
        return RecordResult(record, RecordState.MATCHED, chain_expires=expires)

    def _expect_earlier(self, record: TLSA, earlier: EarlierMatch) -> Moment | None:
        if record != earlier.record:
            raise Refused(Reason.TLSA_MISMATCH, "the session was resumed, and its handshake matched another record")
        if earlier.chain_expires is not None and self._rules.now > earlier.chain_expires:
            raise Refused(Reason.CHAIN_INVALID, f"the session's certificates expired on {iso(earlier.chain_expires)}")
        return earlier.chain_expires

    def _expect_leaf(self, record: TLSA) -> None:
        if self._presented.digests is not None:
            if not self._presented.digests.are_named_by(record):
                raise _another(record)
            return
        octets = self._leaf_octets.get(record.selector)
        if octets is None:
            if record.selector == Selector.SPKI:
                octets = self._presented.spki
            elif self._presented.chain:
                octets = self._presented.chain[0]
            else:
                raise Malformed("the peer presented nothing")
            self._leaf_octets[record.selector] = octets
        if not compare_digest(DIGESTS[record.matching_type](octets), record.data):
            raise _another(record)

    def _find_published_authority(self, record: TLSA) -> Moment:
        """RFC 7671 section 5.2. When the path ends."""
        leaf, others = self._certificates()
        is_anchor = _names(record)
        if record.selector == Selector.CERT and record.matching_type == MatchingType.FULL:
            # Section 5.2.2: the whole certificate is in the DNS, so the handshake may leave it out.
            others = [*others, PathCertificate.from_der(record.data)]
        bare_key = None
        if record.selector == Selector.SPKI and record.matching_type == MatchingType.FULL:
            bare_key = public_key_from_spki(record.data)
        elif not any(map(is_anchor, others)):
            raise Refused(Reason.TLSA_MISMATCH, "no presented authority is the published one")
        refusal: Refused | None = None
        for path in signed_paths(leaf, pool_of(others), self._budget):
            ends = len(path) > 1 and is_anchor(path[-1])
            if not ends and bare_key is not None:
                # Section 5.2.3: the published key may have signed the topmost certificate without being presented.
                self._budget.spend()
                ends = is_signed_by_key(path[-1], bare_key)
            if not ends:
                continue
            refusal = _refusal(path, self._rules)
            if refusal is None:
                return _expiry(path)
        raise refusal or Refused(Reason.CHAIN_INVALID, "the certificate does not lead to the published authority")

    def _find_configured_root(self, record: TLSA | None) -> Moment:
        """Usage 1 without a record: any path to a root. Usage 0: one that holds the recorded authority, if need be
        beyond the first trusted certificate (RFC 7671 section 5.4). When the path ends."""
        leaf, others = self._certificates()
        roots = [_parsed_root(root) for root in self._policy.roots]
        trusted = {root.der for root in roots}
        is_wanted = _names(record) if record is not None else None
        refusal: Refused | None = None
        for path in signed_paths(leaf, pool_of((*others, *roots)), self._budget):
            authorities = path[1:]
            if not any(authority.der in trusted for authority in authorities):
                continue
            if is_wanted is not None and not any(map(is_wanted, authorities)):
                refusal = refusal or Refused(Reason.TLSA_MISMATCH, "no authority of the path is the published one")
                continue
            refusal = _refusal(path, self._rules)
            if refusal is None:
                return _expiry(path)
        raise refusal or Refused(Reason.CHAIN_INVALID, "the certificate does not lead to a configured root")

    def _certificates(self) -> tuple[PathCertificate, list[PathCertificate]]:
        chain = self._presented.chain
        if not chain:
            raise Malformed("the peer presented nothing")
        if len(chain) > PEER_CERTIFICATES.default:
            raise Refused(Reason.CHAIN_INVALID, f"more than {PEER_CERTIFICATES.default} certificates were presented")
        return PathCertificate.from_der(chain[0]), [authority_from_der(certificate) for certificate in chain[1:]]


def _another(record: TLSA) -> Refused:
    other = f"the presented {_SUBJECT[record.selector]} is another one"
    return Refused(Reason.TLSA_MISMATCH, "the name's owner has blocked it" if record.is_block else other)


_SUBJECT: Final[dict[int, str]] = {Selector.CERT: "certificate", Selector.SPKI: "key"}


def _names(record: TLSA) -> Callable[[PathCertificate], bool]:
    """Whether a certificate, or its key, is the one the record names."""
    digest = DIGESTS[record.matching_type]

    def is_named(certificate: PathCertificate) -> bool:
        octets = certificate.der if record.selector == Selector.CERT else certificate.spki
        return compare_digest(digest(octets), record.data)

    return is_named


def _refusal(path: Path, rules: PathRules) -> Refused | None:
    try:
        check_path(path, rules)
    except Refused as refusal:
        return refusal
    except Malformed as error:
        return Refused(Reason.CHAIN_INVALID, str(error))
    return None


def _expiry(path: Path) -> Moment:
    return min(certificate.x509.not_valid_after_utc.timestamp() for certificate in path)


@lru_cache(maxsize=1024)
def _parsed_root(der: bytes) -> PathCertificate:
    try:
        return PathCertificate.from_der(der)
    except Malformed as error:
        raise Misuse(f"a configured root does not parse: {error}") from error
