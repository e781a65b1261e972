"""stunnel around its snippet, which is a whole configuration."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from dnsbound.adapters.fronts import stunnel
from dnsbound.testing.front_trials.running import Around, ServerTrial


def _around(program: str, place: Path, files: Sequence[Path]) -> Around:
    del place
    return Around(command=[program, str(files[0])])


TRIAL: Final = ServerTrial(snippet=stunnel.SNIPPET, kind="client", around=_around)
