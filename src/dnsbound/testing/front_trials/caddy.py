"""Caddy around its snippet."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from dnsbound.adapters.fronts import caddy
from dnsbound.testing.front_trials.running import Around, ServerTrial


def _around(program: str, place: Path, files: Sequence[Path]) -> Around:
    text = f"""\
{{
    admin off
    auto_https off
    storage file_system {place}/storage
}}
import {files[0]}
"""
    command = [program, "run", "--config", f"{place}/Caddyfile", "--adapter", "caddyfile"]
    home = {"HOME": str(place), "XDG_DATA_HOME": str(place), "XDG_CONFIG_HOME": str(place)}
    return Around(command=command, files={"Caddyfile": text}, environment=home)


TRIAL: Final = ServerTrial(snippet=caddy.SNIPPET, kind="http", around=_around)
