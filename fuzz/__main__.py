"""python -m fuzz [--seconds N] [--seed N] [TARGET ...]: mutate seeds, run targets, stop at the first broken promise.

Deterministic for a seed, which is printed. A failing input is written to fuzz/corpus/TARGET-DIGEST and named.
"""

import argparse
import hashlib
import random
import sys
import time
import traceback
from pathlib import Path

from dnsbound.errors import DnsboundError
from fuzz.mutation import mutate
from fuzz.target import Target
from fuzz.targets import TARGETS

SLOW_SECONDS = 1.0
"""Of this thread's processor, whatever else the machine does. No input this small may cost more: the Budget is there
for that."""
CORPUS = Path(__file__).parent / "corpus"


def broken_promise(target: Target, octets: bytes) -> str | None:
    """What went wrong with one input; None when the promise was kept."""
    started = time.thread_time()
    try:
        target.run(octets)
    except DnsboundError:
        pass
    except Exception:  # noqa: BLE001 (anything else is what we are looking for)
        return traceback.format_exc()
    spent = time.thread_time() - started
    return f"took {spent:.1f} s" if spent > SLOW_SECONDS else None


def fuzz(name: str, seconds: float, rng: random.Random) -> tuple[int, str | None]:
    """Inputs tried, and where the failing one was kept."""
    target = TARGETS[name]
    pool = target.seeds()
    for octets in pool:
        target.run(octets)
    tried, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        octets = mutate(rng, pool)
        tried += 1
        wrong = broken_promise(target, octets)
        if wrong is not None:
            CORPUS.mkdir(exist_ok=True)
            kept = CORPUS / f"{name}-{hashlib.sha256(octets).hexdigest()[:12]}"
            kept.write_bytes(octets)
            return tried, f"{kept}\n{wrong}"
    return tried, None


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[[], *TARGETS], help="all of them without a name")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each target (default 10)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    failed = 0
    for name in arguments.targets or TARGETS:
        tried, wrong = fuzz(name, arguments.seconds, random.Random(f"{arguments.seed} {name}"))
        print(f"{name:20} {tried:8} inputs  {'ok' if wrong is None else wrong}", flush=True)
        failed += wrong is not None
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
