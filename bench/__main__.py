"""Run benchmarks and print their tables as Markdown.

    python -m bench [NAME ...] [--quick] [--list]

All of them without a name. Each runs in a process of its own, so that none inherits another's memory or imports. Tables
go to standard output, progress to standard error. Exit code 0, or 1 when a benchmark failed; one whose peer is not
installed is told in a line and does not count as failed.
"""

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from bench import machine
from bench.catalogue import BENCHMARKS
from bench.peer_missing import PeerMissing


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure dnsbound, and the peers beside it.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}; all without")
    parser.add_argument("--quick", action="store_true", help="few repetitions: to see that it runs, not to quote")
    parser.add_argument("--list", action="store_true", help="print the names and end")
    options = parser.parse_args(arguments)
    if options.list:
        print("\n".join(BENCHMARKS))
        return 0
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    print(machine.facts(), flush=True)
    failed = [name for name in options.names or BENCHMARKS if not _run(name, quick=options.quick)]
    print(f"Load afterwards: {machine.load()}.")
    return 1 if failed else 0


def _run(name: str, *, quick: bool) -> bool:
    """One benchmark in a fresh process; whether it ended as it should."""
    _tell(f"{name} ...")
    start = time.monotonic()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            shown = pool.submit(BENCHMARKS[name].measure, quick=quick).result()
        except PeerMissing as missing:
            print(f"### {name}\n\nNot measured: {missing}.\n", flush=True)
            _tell(f"{name}: not measured: {missing}")
            return True
        except Exception as error:  # noqa: BLE001 (the other benchmarks still run)
            print(f"### {name}\n\nFailed: {type(error).__name__}: {error}\n", flush=True)
            _tell(f"{name}: failed: {error}")
            return False
    print(shown, flush=True)
    _tell(f"{name}: {time.monotonic() - start:.0f} s")
    return True


def _tell(progress: str) -> None:
    print(progress, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
