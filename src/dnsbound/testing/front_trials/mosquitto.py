"""Mosquitto around its snippet."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from dnsbound.adapters.fronts import mosquitto
from dnsbound.testing.front_trials.running import Around, ServerTrial


def _around(program: str, place: Path, files: Sequence[Path]) -> Around:
    text = f"""\
persistence false
log_dest stderr
{files[0].read_text()}"""
    return Around(command=[program, "-c", f"{place}/mosquitto.conf"], files={"mosquitto.conf": text})


TRIAL: Final = ServerTrial(snippet=mosquitto.SNIPPET, kind="broker", around=_around)
