"""What a validator accepts and how much work it does: algorithms, clock allowance, budgets."""

from dataclasses import dataclass

from dnsbound import limits
from dnsbound.dns.algorithms import ALGORITHMS, SHA1_ALGORITHMS
from dnsbound.errors import Misuse
from dnsbound.limits import Budget
from dnsbound.times import Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Checked when made. None means the limit's default.

    clock_skew: seconds by which inception and expiration are widened; 0 is strict.
    """

    clock_skew: Seconds = 0
    danger_sha1: bool = False
    """Validate algorithms 5 and 7 (RSA with SHA-1), which RFC 9905 tells operators to treat as unsupported."""
    signature_checks: int | None = None
    signatures_per_rrset: int | None = None
    keys_per_tag: int | None = None
    nsec3_iterations: int | None = None
    nsec3_hashes: int | None = None
    aliases: int | None = None
    queries: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.clock_skew <= 86_400:
            raise Misuse(f"clock skew must be from 0 to 86400 seconds, not {self.clock_skew}")
        limits.SIGNATURE_CHECKS.checked(self.signature_checks)
        limits.SIGNATURES_PER_RRSET.checked(self.signatures_per_rrset)
        limits.KEYS_PER_TAG.checked(self.keys_per_tag)
        limits.NSEC3_ITERATIONS.checked(self.nsec3_iterations)
        limits.NSEC3_HASHES.checked(self.nsec3_hashes)
        limits.ALIASES.checked(self.aliases)
        limits.DNS_QUERIES.checked(self.queries)

    @property
    def leniency(self) -> tuple[Seconds, bool, int]:
        """What decides a zone's state, the budgets apart: evidence is shared only between policies equal in this."""
        iterations = limits.NSEC3_ITERATIONS.checked(self.nsec3_iterations)
        return self.clock_skew, self.danger_sha1, iterations

    def supports(self, algorithm: int) -> bool:
        return algorithm in ALGORITHMS or (self.danger_sha1 and algorithm in SHA1_ALGORITHMS)


class Work:
    """The budgets of one answer, and the per-set limits of its policy."""

    __slots__ = ("hashes", "keys_per_tag", "nsec3_iterations", "queries", "signatures", "signatures_per_rrset")

    def __init__(self, policy: Policy) -> None:
        self.signatures = Budget(limits.SIGNATURE_CHECKS, policy.signature_checks)
        self.hashes = Budget(limits.NSEC3_HASHES, policy.nsec3_hashes)
        self.queries = Budget(limits.DNS_QUERIES, policy.queries)
        self.signatures_per_rrset = limits.SIGNATURES_PER_RRSET.checked(policy.signatures_per_rrset)
        self.keys_per_tag = limits.KEYS_PER_TAG.checked(policy.keys_per_tag)
        self.nsec3_iterations = limits.NSEC3_ITERATIONS.checked(policy.nsec3_iterations)
