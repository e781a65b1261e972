"""Which servers this machine has, and of which version.

The programs are asked for their version; nothing of their configuration is read.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dnsbound.adapters.fronts.snippet import Facts, Version
from dnsbound.times import Seconds

ASK_SECONDS: Final[Seconds] = 10.0
_SERVERS: Final = "/usr/sbin:/sbin"
"""Servers are not on everybody's path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A program of this machine. version: None when it does not say one that can be read."""

    path: str
    version: Version | None


def installed(facts: Facts) -> Installed | None:
    """None when the server is not here."""
    path = None if facts.program is None else found(facts.program)
    return None if path is None else Installed(path=path, version=version_of(path, facts))


def found(program: str) -> str | None:
    """Where a program is."""
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:{_SERVERS}")
    return _wheel(program) if path is None else path


def version_of(path: str, facts: Facts) -> Version | None:
    """What the program says of itself, on either stream; None when it says nothing in time."""
    try:
        said = subprocess.run(  # noqa: S603 (the program that was found, asked for its version)
            [path, *facts.version_arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=ASK_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = facts.version_pattern.search(said.stdout.decode(errors="replace"))
    return None if match is None else Version.from_text(match[1])


def _wheel(program: str) -> str | None:
    """A program that a Python package brings: Envoy has no other package for Debian."""
    import importlib.util

    spec = importlib.util.find_spec(program) if program.isidentifier() else None
    places = (spec.submodule_search_locations or ()) if spec is not None else ()
    paths = [Path(place) / "_bin" / program for place in places]
    return next((str(path) for path in paths if os.access(path, os.X_OK)), None)
