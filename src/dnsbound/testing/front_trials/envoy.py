"""Envoy around its snippet, which is a whole configuration."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from dnsbound.adapters.fronts import envoy
from dnsbound.testing.front_trials.running import Around, ServerTrial


def _around(program: str, place: Path, files: Sequence[Path]) -> Around:
    del place
    options = ["--concurrency", "1", "-l", "warning", "--disable-hot-restart"]
    return Around(command=[program, "-c", str(files[0]), *options])


TRIAL: Final = ServerTrial(snippet=envoy.SNIPPET, kind="http", around=_around)
