"""Token buckets by key: what each may use up in a minute. The table is bounded and drops the ones longest untouched.
Time is an argument.
"""

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address

from dnsbound.times import Moment

_MINUTE = 60.0


class TokenBuckets:
    """See the module. Not thread-safe. capacity: per minute, and the burst. size: of the table."""

    __slots__ = ("_capacity", "_levels", "_size")

    def __init__(self, capacity: int, size: int) -> None:
        self._capacity = float(capacity)
        self._size = size
        self._levels: OrderedDict[str, tuple[float, Moment]] = OrderedDict()

    def level(self, key: str, now: Moment) -> float:
        held = self._levels.get(key)
        if held is None:
            return self._capacity
        level, touched = held
        # A clock that went backwards refills nothing.
        return min(self._capacity, level + max(0.0, now - touched) * self._capacity / _MINUTE)

    def take(self, key: str, count: int, now: Moment) -> None:
        # A debt is at most one bucket deep, so that a minute always clears it.
        level = min(self._capacity, max(-self._capacity, self.level(key, now) - count))
        self._levels[key] = (level, now)
        self._levels.move_to_end(key)
        if len(self._levels) > self._size:
            self._levels.popitem(last=False)


def source_prefix(source: str) -> str:
    """Who counts as one source: an IPv4 address, an IPv6 /64, and any other text as it is."""
    try:
        address = ip_address(source.partition("%")[0])
    except ValueError:
        return source
    if not isinstance(address, IPv6Address):
        return source
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"
