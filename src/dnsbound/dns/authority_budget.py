"""How many fresh signatures a source may cause over UDP, where anybody can write any source address.

Random names cannot be answered from the signature cache, so each costs a signature. A source prefix (/24, /56: what one
subscriber or attacker usually holds) has a token bucket, and all of them together have one more, so that forged
addresses do not help. What is left over when a bucket is empty is a truncated answer: whoever asks again over TCP has
proved the address, and is bounded by the server's connection limits instead.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from dnsbound.errors import LimitExceeded
from dnsbound.limits import SIGNATURES_OVER_UDP, SIGNATURES_PER_PREFIX, SIGNING_PREFIXES

if TYPE_CHECKING:
    from dnsbound.times import Moment

IPV4_PREFIX: Final = 24
IPV6_PREFIX: Final = 56
_BURST_SECONDS: Final = 2


class SigningBudget:
    """Token buckets per source prefix, and one for everybody. None takes the default of limits.py."""

    def __init__(
        self, *, per_prefix: int | None = None, together: int | None = None, prefixes: int | None = None
    ) -> None:
        self._per_prefix = SIGNATURES_PER_PREFIX.checked(per_prefix)
        self._prefixes = SIGNING_PREFIXES.checked(prefixes)
        self._together = _Bucket(SIGNATURES_OVER_UDP.checked(together))
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def spend(self, source: str, *, now: Moment) -> None:
        """Pay for one fresh signature; LimitExceeded when this prefix, or everybody together, has none left."""
        prefix = source_prefix(source)
        bucket = self._buckets.get(prefix)
        if bucket is None:
            bucket = self._buckets[prefix] = _Bucket(self._per_prefix)
            if len(self._buckets) > self._prefixes:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(prefix)
        if not bucket.take(now):
            raise LimitExceeded(SIGNATURES_PER_PREFIX.name, f"fresh signatures for {prefix}")
        if not self._together.take(now):
            raise LimitExceeded(SIGNATURES_OVER_UDP.name, "fresh signatures over UDP")


class _Bucket:
    """Refills at `rate` per second up to two seconds' worth."""

    __slots__ = ("_at", "_left", "_rate")

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._left = float(rate * _BURST_SECONDS)
        self._at: Moment | None = None

    def take(self, now: Moment) -> bool:
        if self._at is not None:
            refill = max(0.0, now - self._at) * self._rate
            self._left = min(float(self._rate * _BURST_SECONDS), self._left + refill)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def source_prefix(source: str) -> str:
    """The /24 or /56 of an address in text form; the text itself when it is no address."""
    try:
        address = ipaddress.ip_address(source.partition("%")[0])
    except ValueError:
        return source
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    length = IPV4_PREFIX if address.version == 4 else IPV6_PREFIX
    return str(ipaddress.ip_network((address, length), strict=False))
