"""How much one source may ask of an enrolment server, and how much everybody together: counted before anything of a
request is looked at. For one event loop; time is an argument.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from dnsbound.errors import LimitExceeded
from dnsbound.limits import ENROLMENT_FAILURES, ENROLMENT_REQUESTS, ENROLMENTS_AT_ONCE, LOOKUP_SOURCES
from dnsbound.times import Moment
from dnsbound.verify.token_buckets import TokenBuckets, source_prefix

_SHARE: Final = 4
"""One source gets this part of what may be under way at once."""


class EnrolmentLimits:
    """None takes the default of limits.py. requests, failures: per minute and source. at_once: requests under way."""

    def __init__(self, *, requests: int | None = None, failures: int | None = None, at_once: int | None = None) -> None:
        self._requests = TokenBuckets(ENROLMENT_REQUESTS.checked(requests), LOOKUP_SOURCES.default)
        self._failures = TokenBuckets(ENROLMENT_FAILURES.checked(failures), LOOKUP_SOURCES.default)
        self._at_once = ENROLMENTS_AT_ONCE.checked(at_once)
        self._under_way: Counter[str] = Counter()

    @contextmanager
    def request(self, source: str, *, now: Moment) -> Iterator[None]:
        """One request while it is under way; LimitExceeded without anything spent on it."""
        prefix = source_prefix(source)
        if self._failures.level(prefix, now) < 1:
            raise LimitExceeded(ENROLMENT_FAILURES.name, f"{prefix} guesses")
        if self._requests.level(prefix, now) < 1:
            raise LimitExceeded(ENROLMENT_REQUESTS.name, f"{prefix} asks too often")
        if self._under_way.total() >= self._at_once:
            raise LimitExceeded(ENROLMENTS_AT_ONCE.name, "too many requests are under way")
        if self._under_way[prefix] >= max(1, self._at_once // _SHARE):
            raise LimitExceeded(ENROLMENTS_AT_ONCE.name, f"too many requests of {prefix} are under way")
        self._requests.take(prefix, 1, now)
        self._under_way[prefix] += 1
        try:
            yield
        finally:
            self._under_way[prefix] -= 1
            if not self._under_way[prefix]:
                del self._under_way[prefix]

    def failed(self, source: str, *, now: Moment) -> None:
        """A token or key came that nobody expects."""
        self._failures.take(source_prefix(source), 1, now)
