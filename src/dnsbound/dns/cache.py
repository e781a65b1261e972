"""A bounded cache of DNS evidence: answers and zone states, each until its own end, never verdicts.

What failed, and what is bogus or indeterminate, is not kept: it is never a denial and may be asked again at once.
Answers are kept for at most POSITIVE_TTL, denials and insecure answers for NEGATIVE_TTL; the two do not displace each
other, so that a flood of names that do not exist leaves the real ones in place. Safe to use from several threads.

Evidence holds from the moment it was proved: a clock that was set back does not lengthen its life. And it holds for
whoever trusts the same anchors by the same policy: one cache serves one such pair.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from threading import Lock
from typing import Any, Final, Generic, TypeVar

from dnsbound import limits
from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.answer import Answer, Outcome, Security
from dnsbound.dns.canonical import Key, key_of
from dnsbound.dns.policy import Policy
from dnsbound.dns.zone_trust import ZoneTrust
from dnsbound.errors import Misuse
from dnsbound.times import Moment

_V = TypeVar("_V")
CacheKey = tuple[Key, int]
_FORGOTTEN: Final = 4096
"""Names whose last forgetting is remembered."""


class EvidenceCache:
    """See the module. Each number None means the limit's default."""

    def __init__(
        self, *, entries: int | None = None, positive_ttl: int | None = None, negative_ttl: int | None = None
    ) -> None:
        size = limits.EVIDENCE_CACHE.checked(entries)
        self._positive_ttl: Final = limits.POSITIVE_TTL.checked(positive_ttl)
        self._negative_ttl: Final = limits.NEGATIVE_TTL.checked(negative_ttl)
        self._positive: Final = _Shelf[CacheKey, Answer](size // 2)
        self._negative: Final = _Shelf[CacheKey, Answer](size // 4)
        self._trusts: Final = _Shelf[Key, ZoneTrust](size // 4)
        self._forgotten: Final = _Shelf[Key, Moment](_FORGOTTEN)
        self._bound: tuple[TrustAnchors, Policy] | None = None

    def bind(self, anchors: TrustAnchors, policy: Policy) -> None:
        """Serve these anchors and this policy from now on; Misuse while it serves others (`clear` ends that)."""
        if self._bound is None:
            self._bound = anchors, policy
        bound_anchors, bound_policy = self._bound
        if anchors is bound_anchors and policy is bound_policy:
            return
        if anchors != bound_anchors or policy.leniency != bound_policy.leniency:
            raise Misuse("one cache of evidence cannot serve two sets of trust anchors or two validation policies")

    def get(self, key: CacheKey, *, now: Moment) -> Answer | None:
        """The evidence that still holds, or None."""
        return self._positive.get(key, now) or self._negative.get(key, now)

    def put(self, key: CacheKey, answer: Answer) -> Answer:
        """Keep an answer if it may be kept. Returns it with its TTL capped, as every later reader will see it."""
        secure = answer.security is Security.SECURE
        if not (secure or answer.security is Security.INSECURE) or answer.outcome is Outcome.FAILED:
            return answer
        found = secure and answer.outcome is Outcome.RECORDS
        cap = self._positive_ttl if found else self._negative_ttl
        kept = answer if answer.ttl <= cap else replace(answer, ttl=float(cap))
        self._positive.drop(key)
        self._negative.drop(key)
        if self._is_forgotten(key[0], kept):
            return kept
        if kept.valid_until > kept.validated_at:
            (self._positive if found else self._negative).put(key, kept, kept.validated_at, kept.valid_until)
        return kept

    def get_trust(self, key: Key, *, now: Moment) -> ZoneTrust | None:
        """The state of a zone, for the validator."""
        return self._trusts.get(key, now)

    def put_trust(self, key: Key, trust: ZoneTrust) -> None:
        """Keep a proved state until its end."""
        self._trusts.put(key, trust, trust.since, trust.until)

    def forget(self, key: Key, *, now: Moment) -> int:
        """Forget every answer about this name, and every one that led through it by an alias; how many these were. An
        answer to a question that was asked before this moment is not kept either when it comes."""
        self._forgotten.put(key, now, -math.inf, math.inf)
        about = [
            shelf.drop_where(lambda asked, answer: asked[0] == key or key in _passed(answer)) for shelf in self._answers
        ]
        return sum(about)

    @property
    def _shelves(self) -> "tuple[_Shelf[Any, Any], ...]":
        return *self._answers, self._trusts, self._forgotten

    @property
    def _answers(self) -> "tuple[_Shelf[CacheKey, Answer], ...]":
        return self._positive, self._negative

    def _is_forgotten(self, key: Key, answer: Answer) -> bool:
        if not len(self._forgotten):
            return False
        moments = (self._forgotten.get(each, answer.validated_at) for each in (key, *_passed(answer)))
        return any(moment is not None and answer.validated_at < moment for moment in moments)

    def clear(self) -> None:
        """Forget everything, as before a change of anchors."""
        self._bound = None
        for shelf in self._shelves:
            shelf.clear()

    def reset_locks(self) -> None:
        """In a forked child: a lock may have been held by a thread that is not there any more."""
        for shelf in self._shelves:
            shelf.reset_lock()

    def __len__(self) -> int:
        return len(self._positive) + len(self._negative) + len(self._trusts)


def _passed(answer: Answer) -> tuple[Key, ...]:
    """The names behind the one that was asked for, on whose records the answer rests."""
    return tuple(map(key_of, answer.aliases))


_K = TypeVar("_K")


class _Shelf(Generic[_K, _V]):
    """Values with a beginning and an end each; when it is full, the oldest goes."""

    __slots__ = ("_entries", "_lock", "_size")

    def __init__(self, size: int) -> None:
        self._entries: dict[_K, tuple[Moment, Moment, _V]] = {}
        self._size = max(size, 1)
        self._lock = Lock()

    def get(self, key: _K, now: Moment) -> _V | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        begin, end, value = entry
        return value if begin <= now < end else None

    def put(self, key: _K, value: _V, begin: Moment, end: Moment) -> None:
        with self._lock:
            self._entries.pop(key, None)
            while len(self._entries) >= self._size:
                del self._entries[next(iter(self._entries))]
            self._entries[key] = (begin, end, value)

    def drop(self, key: _K) -> None:
        with self._lock:
            self._entries.pop(key, None)

    def drop_where(self, is_meant: Callable[[_K, _V], bool]) -> int:
        """How many were dropped."""
        with self._lock:
            meant = [key for key, (_, _, value) in self._entries.items() if is_meant(key, value)]
            for key in meant:
                del self._entries[key]
        return len(meant)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()

    def reset_lock(self) -> None:
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._entries)
