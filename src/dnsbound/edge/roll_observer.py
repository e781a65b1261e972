"""Seeing for rolls what every authoritative server serves: names grouped by zone, each zone's servers asked at once.

An `Observe` for `dnsbound.provision.lifecycle.roll_mover`. Whom to ask is said by the publish target of the zone or
found in the DNS, and looked up anew every few minutes, so that a server that was added counts. A server must serve
exactly what is expected, signed up to a trust anchor; records that others put beside ours hold a roll up and are told.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from dnsbound.dns.served import Wanted
from dnsbound.edge.authoritative_servers import NotYet, Observer, Outcome, ServedEverywhere
from dnsbound.edge.nameservers import ZoneServers, find_servers_blocking
from dnsbound.edge.resolver import Resolver
from dnsbound.errors import DnsboundError
from dnsbound.provision.lifecycle.machine import Behind, Observation, Served, Unknown
from dnsbound.provision.lifecycle.roll_mover import Expected
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publish.targets import Targets
from dnsbound.times import Moment, Seconds

SERVERS_SECONDS: Final[Seconds] = 300.0
"""How long the servers of a zone are remembered."""
_NOBODY: Final = "nobody"
_UNPROVED: Final = "no trust anchor leads to the zone, so whoever is on the way could have made these answers"


class RollObserver:
    """See the module. For one thread at a time.

    targets: what is said of zones, their servers among it. zones: names of the zones that the inventory serves itself.
    clock: the moment to judge signatures by.
    """

    def __init__(
        self,
        resolver: Resolver,
        *,
        targets: Targets,
        zones: Callable[[], Iterable[OwnerName]],
        clock: Callable[[], Moment] = time.time,
    ) -> None:
        self._resolver = resolver
        self._targets = targets
        self._zones = zones
        self._clock = clock
        self._found: dict[str, tuple[ZoneServers, Seconds]] = {}

    def __call__(self, wanted: Iterable[Expected]) -> Iterator[tuple[Expected, Observation]]:
        """An observation for each, zone by zone."""
        known = {*self._targets, *(zone.text for zone in self._zones())}
        by_zone: dict[str, list[Expected]] = {}
        for expected in wanted:
            zone = next((text for text in expected.owner.ancestors if text in known), None)
            if zone is None:
                why = "no publish target and no zone of the inventory holds the name"
                yield expected, Unknown(server=_NOBODY, why=why)
            else:
                by_zone.setdefault(zone, []).append(expected)
        for zone, some in by_zone.items():
            yield from self._observe(zone, some)

    def _observe(self, zone: str, some: list[Expected]) -> Iterator[tuple[Expected, Observation]]:
        asked = {_wanted(expected): expected for expected in some}
        try:
            servers = self._servers(zone)
            for seen in Observer(servers, clock=self._clock).observe_blocking(asked):
                yield asked.pop(seen.wanted), _observation(seen.outcome)
        except DnsboundError as error:
            for expected in asked.values():
                yield expected, Unknown(server=_NOBODY, why=f"the servers of {zone} could not be asked: {error}")

    def _servers(self, zone: str) -> ZoneServers:
        known = self._found.get(zone)
        if known is not None and time.monotonic() - known[1] < SERVERS_SECONDS:
            return known[0]
        target = self._targets.get(zone)
        given = [] if target is None else [str(endpoint) for endpoint in target.servers]
        servers = find_servers_blocking(zone, resolver=self._resolver, servers=given)
        self._found[zone] = (servers, time.monotonic())
        return servers


def _wanted(expected: Expected) -> Wanted:
    texts = [record.to_text() for record in expected.records]
    return Wanted.from_text(expected.owner.absolute, "TLSA", present=texts, exactly=True)


def _observation(outcome: Outcome) -> Observation:
    if isinstance(outcome, ServedEverywhere):
        if not outcome.validated:
            return Unknown(server=_NOBODY, why=_UNPROVED)
        return Served(ttl=outcome.ttl, signed_until=outcome.signed_until)
    if isinstance(outcome, NotYet):
        return Behind(server=outcome.server, why=outcome.why.detail)
    return Unknown(server=outcome.server, why=outcome.why.detail)
