"""What a program pays for `import dnsbound`, and a person for `dnsbound --help`. Wall time, a fresh process each."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.rounds import least
from bench.table import Table

HEAVY = ("asyncio", "sqlalchemy", "starlette", "uvicorn", "typer", "rich", "httpx")
"""What an import of the paved path must not bring along, and what the command line brings."""

_IMPORT = """
import sys, time, json
start = time.perf_counter()
import dnsbound
took = time.perf_counter() - start
print(json.dumps([took, [name for name in {heavy!r} if name in sys.modules]]))
"""


def measure(rounds: int) -> Table:
    """Milliseconds, the least of several starts."""
    loaded: set[str] = set()

    def import_alone() -> float:
        took, heavy = json.loads(_run([sys.executable, "-c", _IMPORT.format(heavy=HEAVY)]))
        loaded.update(heavy)
        return float(took)

    best = least(
        {
            "import dnsbound, inside the process": import_alone,
            "python -c 'import dnsbound', whole process": _started([sys.executable, "-c", "import dnsbound"]),
            "python -c 'pass', whole process": _started([sys.executable, "-c", "pass"]),
            "dnsbound --help, whole process": _started([str(Path(sys.executable).with_name("dnsbound")), "--help"]),
        },
        rounds,
    )
    table = Table("Start", ["what", "ms"])
    for label, seconds in best.items():
        table.row(label, f"{seconds * 1000:.0f}")
    table.note(f"Of {', '.join(HEAVY)}, the import loads: {', '.join(sorted(loaded)) or 'none'}.")
    return table


def _started(command: list[str]) -> Callable[[], float]:
    def once() -> float:
        start = time.perf_counter()
        _run(command)
        return time.perf_counter() - start

    return once


def _run(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
