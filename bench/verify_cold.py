"""A name that was never asked for, zone keys known, loopback resolver, validated here: ours against libunbound.

Both are validating stubs of the same resolver, in this process, with the same anchor. That resolver is Unbound, a
process of its own, which does not validate and has every answer in its cache before the clock starts: what is measured
is the asking and validating side, not the server. Each round begins with an empty cache and one name that brings the
zone's keys.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from bench.libunbound import Libunbound, version
from bench.measured_process import MeasuredProcess, free_port
from bench.peer_missing import require
from bench.rounds import least
from bench.table import Table
from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.answer import Answer, Outcome, Security
from dnsbound.edge.authenticator import Authenticator
from dnsbound.edge.resolver import Resolver
from dnsbound.edge.upstream import Upstream
from dnsbound.names import ClientName
from dnsbound.testing import World
from dnsbound.testing.organisation import Device
from dnsbound.verify.access import AccessList
from dnsbound.verify.claim import Claim, NameSource, Proved

ZONE = "cars.example"
AT_ONCE = 32
DOOR = "bench"
TTL = 3600

_Item = TypeVar("_Item")
Round = Callable[[], tuple[float, float]]
"""One pass over all names: seconds by the wall clock, and of this process's CPU, per name."""


class Stage:
    """Where the contenders find the same names, resolver and anchor."""

    def __init__(self, world: World, car: Device, names: Sequence[str], port: int) -> None:
        self._car = car
        self._first, *self._names = names
        self._anchors, self._anchors_text = world.anchors, world.anchors_text
        self._port = port

    def libunbound_alone(self) -> tuple[float, float]:
        with Libunbound.forwarding("127.0.0.1", self._port, self._anchors_text) as library:
            library.resolve(self._first.encode())
            return self._timed(library.resolve, [name.encode() for name in self._names])

    def libunbound_at_once(self) -> tuple[float, float]:
        with Libunbound.forwarding("127.0.0.1", self._port, self._anchors_text) as library:
            library.resolve_many([self._first.encode()])
            return self._timed(library.resolve_many, [[name.encode() for name in group] for group in self._groups()])

    def ours_alone(self) -> tuple[float, float]:
        with self._resolver() as resolver:
            _secure(resolver.lookup_blocking(self._first, "TLSA"))
            return self._timed(lambda name: _secure(resolver.lookup_blocking(name, "TLSA")), self._names)

    def ours_verified(self) -> tuple[float, float]:
        """With the whole verdict: access list, lookup, match, evidence."""
        claims = [self._claim(name) for name in self._names]
        with self._resolver() as resolver:
            _secure(resolver.lookup_blocking(self._first, "TLSA"))
            door = Authenticator(AccessList.allowing(DOOR, self._names), resolver, door=DOOR)
            return self._timed(door.authenticate_blocking, claims)

    def ours_at_once(self) -> tuple[float, float]:
        return asyncio.run(self._ours_at_once())

    async def _ours_at_once(self) -> tuple[float, float]:
        async with self._resolver() as resolver:
            _secure(await resolver.lookup(self._first, "TLSA"))
            wall, cpu = time.perf_counter(), time.process_time()
            for group in self._groups():
                for answer in await asyncio.gather(*(resolver.lookup(name, "TLSA") for name in group)):
                    _secure(answer)
            return self._since(wall, cpu)

    def _groups(self) -> list[Sequence[str]]:
        return [self._names[start : start + AT_ONCE] for start in range(0, len(self._names), AT_ONCE)]

    def _resolver(self) -> Resolver:
        return Resolver([Upstream.parse(f"127.0.0.1:{self._port}")], TrustAnchors.from_text(self._anchors_text))

    def _claim(self, name: str) -> Claim:
        return Claim(
            name=ClientName.parse(name),
            name_source=NameSource.EXTENSION,
            presented=self._car.credential.presented,
            possession=Proved("bench"),
            door=DOOR,
            source="192.0.2.1",
        )

    def _timed(self, work: Callable[[_Item], object], items: Sequence[_Item]) -> tuple[float, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        for item in items:
            work(item)
        return self._since(wall, cpu)

    def _since(self, wall: float, cpu: float) -> tuple[float, float]:
        count = len(self._names)
        return (time.perf_counter() - wall) / count, (time.process_time() - cpu) / count


def measure(names: int, rounds: int) -> Table:
    """Microseconds per name. Wall time decides; CPU is of this process, all its threads."""
    require("unbound", package="unbound")
    release = version()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, World() as world:
        cars = world.organisation(ZONE)
        car = cars.device("car", ttl=TTL)
        fleet = [f"car{index}._device.{ZONE}" for index in range(names + 1)]
        for name in fleet:
            cars.publish(name, car.record, ttl=TTL)
        port = free_port()
        configuration = _forwarder(Path(directory), port, world)
        command = ["unbound", "-d", "-c", str(configuration)]
        with MeasuredProcess(command, port=port, log=Path(directory) / "unbound.log"):
            stage = Stage(world, car, fleet, port)
            stage.ours_at_once()  # fills Unbound's cache
            walls, cpus = _take_turns(stage, rounds)
    table = Table("Verify, name never asked for, zone keys known", ["what", "us", "CPU us", "of libunbound"])
    alone, at_once = walls["libunbound, one after another"], walls[f"libunbound, {AT_ONCE} at once"]
    for label, wall in walls.items():
        reference = at_once if label.endswith("at once") else alone
        table.row(label, f"{wall * 1e6:.0f}", f"{cpus[label] * 1e6:.0f}", f"{wall / reference:.2f}")
    table.note(
        f"libunbound {release}. Its {AT_ONCE} at once run on a thread of its own, ours in one thread with asyncio."
    )
    return table


def _take_turns(stage: Stage, rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    contenders: dict[str, Round] = {
        "libunbound, one after another": stage.libunbound_alone,
        "dnsbound lookup, one after another": stage.ours_alone,
        "dnsbound whole verdict, one after another": stage.ours_verified,
        f"libunbound, {AT_ONCE} at once": stage.libunbound_at_once,
        f"dnsbound lookup, {AT_ONCE} at once": stage.ours_at_once,
    }
    cpus = dict.fromkeys(contenders, float("inf"))

    def noting_cpu(label: str, one_round: Round) -> Callable[[], float]:
        def run() -> float:
            wall, cpu = one_round()
            cpus[label] = min(cpus[label], cpu)
            return wall

        return run

    return least({label: noting_cpu(label, one_round) for label, one_round in contenders.items()}, rounds), cpus


def _secure(answer: Answer) -> None:
    if (answer.security, answer.outcome) != (Security.SECURE, Outcome.RECORDS):
        raise RuntimeError(f"{answer.name}: {answer.security.value}, {answer.outcome.value}: {answer.detail}")


def _forwarder(place: Path, port: int, world: World) -> Path:
    """Unbound as a cache in front of World's resolver: it passes signatures on and checks none."""
    file = place / "unbound.conf"
    upstream = world.resolver_address
    file.write_text(
        f"""
server:
    directory: "{place}"
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    do-daemonize: no
    interface: 127.0.0.1
    port: {port}
    access-control: 127.0.0.0/8 allow
    do-not-query-localhost: no
    do-ip6: no
    num-threads: 1
    module-config: "iterator"
remote-control:
    control-enable: no
forward-zone:
    name: "."
    forward-addr: {upstream.host}@{upstream.port}
"""
    )
    return file
