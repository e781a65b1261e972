"""Asks the DNS whether a device's record can carry a lease, for commands and for the runner."""

import time
from collections.abc import Callable

import dns.name
import dns.rdatatype

from dnsbound.edge.resolver import DEADLINE, Resolver
from dnsbound.names import ClientName
from dnsbound.provision.ownership.lease_target import check_target
from dnsbound.times import Moment, Seconds


class LeaseTargets:
    """Called with the name that a device's maker gave it; raises what `check_target` raises. Thread-safe."""

    def __init__(
        self, resolver: Resolver, *, deadline: Seconds = DEADLINE, clock: Callable[[], Moment] = time.time
    ) -> None:
        self._resolver = resolver
        self._deadline = deadline
        self._clock = clock

    def __call__(self, target: ClientName) -> None:
        begun_at = self._clock()
        owner = dns.name.from_text(target.canonical)
        answer = self._resolver.lookup_blocking(owner, dns.rdatatype.TLSA, deadline=self._deadline)
        check_target(answer, now=self._clock(), begun_at=begun_at)
