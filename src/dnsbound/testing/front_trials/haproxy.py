"""HAProxy around its snippets."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from dnsbound.adapters.fronts import haproxy
from dnsbound.testing.front_trials.running import Around, ServerTrial

_DEFAULTS: Final = """\
global
    log stderr format raw local0
defaults
    log global
    timeout connect 5s
    timeout client 20s
    timeout server 20s
"""


def _around(program: str, place: Path, files: Sequence[Path]) -> Around:
    command = [program, "-db", "-f", f"{place}/defaults.cfg", "-f", str(files[0])]
    return Around(command=command, files={"defaults.cfg": _DEFAULTS})


TRIAL: Final = ServerTrial(snippet=haproxy.SNIPPET, kind="http", around=_around)
TCP_TRIAL: Final = ServerTrial(snippet=haproxy.TCP_SNIPPET, kind="tcp", around=_around)
