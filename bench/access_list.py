"""An access list of a million names: memory that stays, time to load, time to look a name up."""

import gc
import random
import time
from pathlib import Path

from bench.table import Table
from dnsbound.errors import Refused
from dnsbound.names import ClientName
from dnsbound.verify.access import AccessList

DOOR = "bench"
SAMPLE = 20_000
PAGE = 4096


def measure(names: int, rounds: int) -> Table:
    """Memory is right in a fresh process only, as `python -m bench` makes: the allocator keeps what was used before."""
    text = _toml(names)
    before = _resident()
    start = time.perf_counter()
    access = AccessList.from_toml(text)
    loading = time.perf_counter() - start
    gc.collect()
    resident = _resident() - before
    chosen = random.Random(1).sample(range(names), min(SAMPLE, names))
    lookups = {
        "exact name": [_name(index) for index in chosen],
        "name of a pattern": [f"truck{index}._device.trucks.example" for index in chosen],
        "name that is not there": [f"x{_name(index)}" for index in chosen],
    }
    table = Table(f"Access list of {names:,} names", ["what", "result"])
    table.row("memory", f"{resident / 1e6:.0f} MB")
    table.row("load", f"{loading:.1f} s")
    for label, texts in lookups.items():
        parsed = [ClientName.parse(name) for name in texts]
        best = min(_seconds(access, parsed) for _ in range(rounds))
        table.row(f"look up: {label}", f"{best * 1e6:.2f} us")
    return table


def _name(index: int) -> str:
    return f"car{index}._device.fleet{index % 1000}.cars.example"


def _toml(names: int) -> str:
    entries = "".join(f'  "{_name(index)}",\n' for index in range(names))
    return (
        f'[door.{DOOR}]\nallow = [\n{entries}  "*._device.trucks.example",\n'
        '  { names = ["**.robots.example"], grants = { vlan = 12 } },\n]\n'
        'deny = ["*._device.stolen.example"]\n'
    )


def _seconds(access: AccessList, names: list[ClientName]) -> float:
    permit = access.permit
    start = time.process_time()
    for name in names:
        try:
            permit(DOOR, name)
        except Refused:
            continue
    return (time.process_time() - start) / len(names)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * PAGE
