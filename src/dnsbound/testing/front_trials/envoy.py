"""Envoy around its snippets, which are whole configurations."""

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
TCP_TRIAL: Final = ServerTrial(
    snippet=envoy.TCP_SNIPPET, kind="tcp", around=_around, tells_name=False, waits_for_client=True
)
