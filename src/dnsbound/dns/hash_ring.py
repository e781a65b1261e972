"""The NSEC3 chain of a zone as denials tell it, interval by interval (RFC 5155 section 3.1.7).

The hashes of a zone are a ring: each record says its own and the next one, and the last leads back to the first. A ring
that closes is therefore complete: no further name of the zone can have a hash, save unsigned delegations under opt-out.
Whoever computes the hash of a name before asking for it asks only for what no interval covers yet, so one question
tells one interval or more, whatever the zone.

Not here: asking (`dnsbound.edge.stranger`), and proof that a name does not exist (`dnsbound.dns.nsec3`).
"""

from bisect import bisect_right, insort
from typing import Final

from dnsbound.dns.exposure import HASH_SPACE, HashSettings, width_of

Interval = tuple[bytes, bytes]
"""The hash of an owner and the next hash of the zone, 20 octets each."""


class HashRing:
    """Intervals of one zone and one set of parameters. A later interval of the same owner takes the earlier's place."""

    def __init__(self, settings: HashSettings) -> None:
        self.settings: Final = settings
        self._owners: list[bytes] = []
        self._following: dict[bytes, bytes] = {}
        self._width = 0

    @property
    def hashes(self) -> frozenset[bytes]:
        """Every hash that an interval begins or ends with."""
        return frozenset(self._following) | frozenset(self._following.values())

    def add(self, interval: Interval) -> bool:
        """Whether the interval was not known."""
        owner, end = interval
        before = self._following.get(owner)
        if before == end:
            return False
        if before is None:
            insort(self._owners, owner)
        else:
            self._width -= width_of((owner, before))
        self._following[owner] = end
        self._width += width_of(interval)
        return True

    def covers(self, digest: bytes) -> bool:
        """Whether a known interval says that no name has this hash, or that one has it."""
        if not self._owners:
            return False
        # Below the first owner it is the last one's interval that may reach around.
        owner = self._owners[bisect_right(self._owners, digest) - 1]
        return width_of((owner, digest)) <= width_of((owner, self._following[owner])) or digest == owner

    def is_closed(self) -> bool:
        """Whether the intervals lead from a hash to the next and back to the first: then nothing is missing."""
        if self._width < HASH_SPACE:
            return False
        at = first = self._owners[0]
        walked = 0
        for _ in self._owners:
            following = self._following.get(at)
            if following is None:
                return False
            walked += width_of((at, following))
            at = following
            if at == first:
                return walked == HASH_SPACE
        return False
