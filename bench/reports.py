"""Receiving reports: what a receiver does with each, beside the signature check that nobody can do without.

Reports of one car come one after another, or many at once as over HTTP, where one transaction takes what came while the
one before was written. Wall time counts: writing waits for the disk. The receiver judges by name, keeps report, receipt
and evidence, and signs the receipt. Memory is how much the process's peak grew while all of them were taken.
"""

import asyncio
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.table import Table
from dnsbound.credential.credential import Credential
from dnsbound.edge.object_verifier import ObjectVerifier
from dnsbound.edge.report_chains import ReportChains
from dnsbound.edge.report_receiver import ReportReceiver, Standing
from dnsbound.edge.report_sender import ReportSender
from dnsbound.objects import report as reports
from dnsbound.objects.jose import jws
from dnsbound.provision.reports.intake import Intake
from dnsbound.provision.reports.outbox import Outbox
from dnsbound.testing import World

_TTL: Final = 3600
_CONTENT: Final = {"route": "x" * 600}
_AT_ONCE: Final = 64


def measure(count: int, rounds: int) -> Table:
    """count: reports of one round."""
    table = Table(
        "Receiving reports: microseconds each, best of the rounds", ["", "µs", "reports/s", "of bare", "MiB more"]
    )
    with World() as world, tempfile.TemporaryDirectory() as place:
        car = world.organisation("cars.example").device("car54", ttl=_TTL).credential
        office = world.organisation("gov.example").identity("report", ttl=_TTL).credential
        made = [_made(Path(place) / f"out{number}.db", car, world, count) for number in range(rounds)]
        times = {
            "bare signature check": ([_bare(car, tokens) for tokens in made], 0.0),
            "received, one by one": _received(world, office, made, Path(place) / "one", 1, evidence=False),
            f"received, {_AT_ONCE} at once": _received(
                world, office, made, Path(place) / "many", _AT_ONCE, evidence=False
            ),
            "the same, with evidence": _received(world, office, made, Path(place) / "kept", _AT_ONCE, evidence=True),
        }
    bare = min(times["bare signature check"][0])
    for label, (taken, grew) in times.items():
        best = min(taken)
        table.row(label, f"{best * 1e6:,.0f}", f"{1 / best:,.0f}", f"{bare / best:.2f}", f"{grew:.1f}")
    table.note(
        f"{count:,} reports a round of about {len(made[0][0]):,} octets each, P-256; SQLite with synchronous FULL."
    )
    return table


def _made(place: Path, car: Credential, world: World, count: int) -> list[bytes]:
    receipts = ObjectVerifier.expecting(["report.gov.example"], world.resolver())
    with Outbox.open(place, create=True) as outbox:
        sender = ReportSender(car, outbox, "report.gov.example", receipts)
        return [sender.make(_CONTENT).token for _ in range(count)]


def _bare(car: Credential, tokens: Sequence[bytes]) -> float:
    assert car.private_key is not None
    public = car.private_key.public_key()
    started = time.perf_counter()
    for token in tokens:
        jws.parse(token, typ=reports.TYP).check(public)
    return (time.perf_counter() - started) / len(tokens)


def _received(
    world: World, office: Credential, made: Sequence[Sequence[bytes]], place: Path, at_once: int, *, evidence: bool
) -> tuple[list[float], float]:
    before = _peak()
    taken = [
        asyncio.run(_take(world, office, tokens, Path(f"{place}{number}.db"), at_once, evidence=evidence))
        for number, tokens in enumerate(made)
    ]
    return taken, _peak() - before


async def _take(
    world: World, office: Credential, tokens: Sequence[bytes], place: Path, at_once: int, *, evidence: bool
) -> float:
    resolver = world.resolver()
    with Intake.open(place, create=True) as intake:
        verifier = ObjectVerifier.expecting(["car54._device.cars.example"], resolver)
        chains = ReportChains(resolver) if evidence else None
        receiver = ReportReceiver(office, intake, verifier, chains=chains)
        waiting = iter(tokens)

        async def one_after_another() -> None:
            for token in waiting:
                answer = await receiver.receive(token)
                assert answer.standing is Standing.ACCEPTED

        started = time.perf_counter()
        await asyncio.gather(*(one_after_another() for _ in range(at_once)))
        await receiver.close()
        return (time.perf_counter() - started) / len(tokens)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
