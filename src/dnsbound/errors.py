"""The one exception tree, and the words for why a client was not let in.

    DnsboundError
    ├── Misuse          the caller's code or configuration is at fault; never caused by a peer's bytes
    ├── Malformed       outside data that does not parse: what, and at which offset
    ├── PeerError       the peer broke a protocol that parses
    ├── Refused         decided: no
    ├── Undecided       could not find out: never a yes, may be retried
    └── LimitExceeded   a budget or limit was used up

`Refused` and `Undecided` carry a `Reason`. Tests and programs compare reasons; texts are for people. Peers are told
neither: every refusal looks the same on the wire (draft-ietf-dance-client-auth section 12).
"""

from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """Why a claim did not become a verified peer. The value is what logs, metrics and `--json` show."""

    # Decided: no.
    NO_CREDENTIAL = "no-credential"
    """The client presented neither certificate nor raw key."""
    NO_NAME = "no-name"
    """A credential, but no name by any way this door accepts."""
    EMPTY_NAME = "empty-name"
    """dane_clientid with a zero-length name (draft-ietf-dance-client-auth section 8.2), or without one where the
    certificate shows none either."""
    AMBIGUOUS_NAME = "ambiguous-name"
    """A certificate that shows several dNSNames, or one that is no client name, where exactly one must be the claim."""
    BAD_NAME = "bad-name"
    """A name outside letters, digits, hyphen and underscore, or of the wrong length."""
    NO_POSSESSION = "no-possession"
    """Nobody proved, or vouched for, the client holding the private key."""
    NOT_PERMITTED = "not-permitted"
    """Not on the access list of this door. No DNS query was sent."""
    NOT_LINKED = "not-linked"
    """The name does not speak for the address (of XMPP, say) that something signed by it is about."""
    KEY_REUSED = "key-reused"
    """A signed statement about keys for another use, among them the very key that signed it."""
    NO_TLSA = "no-tlsa"
    """The zone proves that no TLSA record exists: never published, or revoked."""
    TLSA_UNUSABLE = "tlsa-unusable"
    """Records exist and none can be used (RFC 6698 section 4.1, RFC 7671 section 10.3)."""
    TLSA_MISMATCH = "tlsa-mismatch"
    """Usable records exist and none matches what the client presented."""
    NAME_NOT_IN_CERTIFICATE = "name-not-in-certificate"
    """Usages 0 to 2 only: the claimed name is not a SAN dNSName of the certificate."""
    CHAIN_INVALID = "chain-invalid"
    """Usages 0 to 2 only: the certificates do not lead to the published or configured authority now."""
    WILDCARD_KEY = "wildcard-key"
    """A usage 1 or 3 record synthesised from a wildcard: one key for every name."""
    INSECURE = "insecure"
    """The zone is provably not signed."""
    BAD_CHAIN = "bad-chain"
    """The peer carried a DNSSEC chain that is none: its octets do not parse."""
    BAD_SIGNATURE = "bad-signature"
    """A signed object whose signature, algorithm and key do not belong together."""
    NO_KEY = "no-key"
    """A signed object that brings no key along, and records that hold digests of one alone."""
    STALE = "stale"
    """A signed object outside the time it says it holds for."""
    WRONG_AUDIENCE = "wrong-audience"
    """A signed object that is meant for somebody else."""
    WRONG_RECIPIENT = "wrong-recipient"
    """An encrypted message that names others as its recipients, or nobody."""
    NOT_OPENED = "not-opened"
    """An encrypted message that does not open: another key's, or changed. It is never said which."""
    NO_ENCRYPTION_KEY = "no-encryption-key"
    """Secure records, and none of them publishes a key that something can be encrypted to."""
    CONTENT_MISMATCH = "content-mismatch"
    """Content that is another than what was signed."""
    STREAM_BROKEN = "stream-broken"
    """A segment of a signed stream that is missing, moved, shown again, or of another stream."""
    REPLAYED = "replayed"
    """Taken before, or its number was: a signed object that counts once alone."""
    OUT_OF_SEQUENCE = "out-of-sequence"
    """A report whose sequence number lies where nothing is known any more, or too far ahead."""
    FORKED = "forked"
    """A report that contradicts what its signer said before: it names another history."""

    # Could not find out.
    INCOMPLETE = "incomplete"
    """Signed content that ends before what was signed does: what came is right, and the rest may still come."""
    BOGUS = "bogus"
    """The answer contradicts DNSSEC: forged, expired, stripped or mis-signed."""
    INDETERMINATE = "indeterminate"
    """No trust anchor covers the name, or the chain to one could not be completed."""
    DNS_FAILED = "dns-failed"
    """No resolver answered in time, or it reported a failure."""
    LOOKUP_BUDGET = "lookup-budget"
    """Too many lookups caused by this source or for this zone."""
    WORK_BUDGET = "work-budget"
    """Validating would have cost more than the budget allows."""
    EVIDENCE_TOO_OLD = "evidence-too-old"
    """The client carried evidence that still holds, but is older than this door believes."""
    CLOCK = "clock"
    """The clock shows a time before one this verifier has seen already: what it says of signatures means nothing."""


UNDECIDED_REASONS: Final = frozenset(
    {
        Reason.BOGUS,
        Reason.INDETERMINATE,
        Reason.DNS_FAILED,
        Reason.LOOKUP_BUDGET,
        Reason.WORK_BUDGET,
        Reason.EVIDENCE_TOO_OLD,
        Reason.CLOCK,
        Reason.INCOMPLETE,
    }
)
"""Reasons that belong to `Undecided`; all others belong to `Refused`."""


class DnsboundError(Exception):
    """Root of everything this package raises on purpose."""


class Misuse(DnsboundError):
    """The caller's code or configuration asks for something that cannot be."""


class Malformed(DnsboundError):
    """Outside data that does not parse.

    what: the thing being read, in the words of its specification. offset: octets or characters into it, if known.
    """

    def __init__(self, what: str, offset: int | None = None) -> None:
        super().__init__(what if offset is None else f"{what} (at offset {offset})")
        self.what = what
        self.offset = offset

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.what, self.offset)


class PeerError(DnsboundError):
    """The peer broke a protocol."""


class Refused(DnsboundError):
    """Decided: no."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        if reason in UNDECIDED_REASONS:
            raise Misuse(f"{reason.value} cannot be a refusal: it was not decided")
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.reason, self.detail)


class Undecided(DnsboundError):
    """Could not find out. Never a yes; may be retried; never remembered as a denial."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        if reason not in UNDECIDED_REASONS:
            raise Misuse(f"{reason.value} is a decision, not a failure to decide")
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.reason, self.detail)


class LimitExceeded(DnsboundError):
    """A budget or limit was used up. limit: its name in `dnsbound.limits`."""

    def __init__(self, limit: str, detail: str = "") -> None:
        super().__init__(f"{limit}: {detail}" if detail else limit)
        self.limit = limit
        self.detail = detail

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.limit, self.detail)
