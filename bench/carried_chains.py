"""A client that carries its DNSSEC chain, against the lookup its door makes otherwise; and what building a chain costs.

All verdicts are whole: access list, evidence, match. The lookups go to World's resolver over loopback, which runs in
this process: its work is in their wall time and in their CPU, which favours the chain; an Unbound with everything in
its cache is measured by `verify-cold`. "Zone keys known" is what a door that has seen the zone before pays for a name
it has not, and "nothing known" what the first name of a zone costs: a chain proves everything anew each time.
"""

import time
from collections.abc import Callable
from functools import partial

import dns.name
import dns.rdatatype

from bench.rounds import least, seconds_each
from bench.table import Table
from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.cache import EvidenceCache
from dnsbound.dns.chain_judging import judge_chain
from dnsbound.edge.authenticator import Authenticator
from dnsbound.edge.resolver import Resolver
from dnsbound.names import ClientName
from dnsbound.testing import World
from dnsbound.testing.organisation import Device
from dnsbound.verify.access import AccessList
from dnsbound.verify.carried import CarriedChains
from dnsbound.verify.claim import Claim, NameSource, Proved

DOOR = "bench"
TTL = 3600
VALIDITY = 86_400


def measure(repeats: int, rounds: int) -> Table:
    """Microseconds per verdict by the wall clock."""
    with World(validity=VALIDITY) as world:
        cars = world.organisation("cars.example")
        car, other = cars.device("car54", ttl=TTL), cars.device("car55", ttl=TTL)
        chain = world.chain(car.name.text).octets
        work = {
            "carried chain, no resolver": _carried(world.anchors, car, chain),
            "lookup, evidence at hand": _at_hand(world, car),
            "lookup, zone keys known": _keys_known(world, car, other),
            "lookup, nothing known": _nothing_known(world, car),
            "the chain judged, without a verdict": _judged(world.anchors, car, chain),
            "a chain built from a resolver": _built(world, car),
        }
        clock = time.perf_counter
        best = least({label: partial(seconds_each, once, repeats, clock=clock) for label, once in work.items()}, rounds)
    carried = next(iter(best.values()))
    table = Table("A carried chain against asking the DNS", ["what", "us", "of a carried chain"])
    for label, seconds in best.items():
        table.row(label, f"{seconds * 1e6:.0f}", f"{seconds / carried:.2f}")
    table.note(f"The chain: {len(chain)} octets, three zones, P-256 throughout.")
    return table


def _claim(device: Device, chain: bytes | None = None) -> Claim:
    return Claim(
        name=ClientName.parse(device.name.text),
        name_source=NameSource.EXTENSION,
        presented=device.credential.presented,
        possession=Proved("bench"),
        door=DOOR,
        source="192.0.2.1",
        carried_chain=chain,
    )


def _door(resolver: Resolver | None, device: Device, carried: CarriedChains | None = None) -> Authenticator:
    access = AccessList.allowing(DOOR, [device.name.text])
    return Authenticator(access, resolver, door=DOOR, carried_chains=carried, danger_any_clock=True)


def _carried(anchors: TrustAnchors, device: Device, chain: bytes) -> Callable[[], object]:
    door = _door(None, device, CarriedChains([device.name.text], anchors=anchors))
    claim = _claim(device, chain)
    return lambda: door.authenticate_blocking(claim)


def _at_hand(world: World, device: Device) -> Callable[[], object]:
    door, claim = _door(world.resolver(), device), _claim(device)
    return lambda: door.authenticate_blocking(claim)


def _keys_known(world: World, device: Device, other: Device) -> Callable[[], object]:
    """Asked again each time, as for a name that was never asked for in a zone that was."""
    resolver = world.resolver()
    resolver.lookup_blocking(other.name.text, "TLSA")
    door, claim = _door(resolver, device), _claim(device)
    return lambda: door.authenticate_blocking(claim, again=True)


def _nothing_known(world: World, device: Device) -> Callable[[], object]:
    cache = EvidenceCache()
    resolver = world.resolver(cache=cache)
    door, claim = _door(resolver, device), _claim(device)

    def once() -> object:
        cache.clear()
        return door.authenticate_blocking(claim)

    return once


def _judged(anchors: TrustAnchors, device: Device, chain: bytes) -> Callable[[], object]:
    owner = dns.name.from_text(device.name.text)
    return lambda: judge_chain(chain, owner, dns.rdatatype.TLSA, anchors=anchors, now=time.time())


def _built(world: World, device: Device) -> Callable[[], object]:
    resolver = world.resolver()
    return lambda: resolver.chain_blocking(device.name.text)
