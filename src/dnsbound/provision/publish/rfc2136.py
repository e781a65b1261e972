"""Publishing by dynamic updates (RFC 2136) over TCP, signed by TSIG (RFC 8945): to Knot, BIND, PowerDNS.

The key needs the right to change TLSA records and, for leases, CNAME records of the zone, and for `read` the right to
ask it. Sections: RFC 2136 section 4, RFC 8945 section 5.
"""

import time
from collections.abc import Callable, Iterable, Iterator

from dnsbound.dns.tsig import TsigKey
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publish.primary_reader import PrimaryReader
from dnsbound.provision.publish.publisher import READ_TYPES, Change, Outcome, Served
from dnsbound.provision.publish.targets import Rfc2136Target
from dnsbound.provision.publish.update_batch import names_of
from dnsbound.provision.publish.update_run import UpdateRun
from dnsbound.times import Moment


class Rfc2136Publisher:
    """Changes one zone in one primary. clock: POSIX time, for TSIG."""

    def __init__(self, target: Rfc2136Target, key: TsigKey, *, clock: Callable[[], Moment] = time.time) -> None:
        self._target = target
        self._key = key
        self._clock = clock
        self._reader = PrimaryReader(target.server, key, seconds=target.seconds, clock=clock)

    @property
    def zone(self) -> OwnerName:
        return self._target.zone

    def apply(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        """As `Publisher.apply`."""
        return UpdateRun(self._target, self._key, self._reader, names_of(changes), clock=self._clock).outcomes()

    def read(self, owners: Iterable[OwnerName], rdtypes: Iterable[str] = READ_TYPES) -> Iterator[Served]:
        """As `Publisher.read`."""
        return self._reader.read(owners, rdtypes)

    def close(self) -> None:
        self._reader.close()
