"""nginx around its snippet."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from dnsbound.adapters.fronts import nginx
from dnsbound.testing.front_trials.running import Around, ServerTrial

_TEMPORARY: Final = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def _around(program: str, place: Path, files: Sequence[Path]) -> Around:
    temporary = "".join(f"    {each}_temp_path {place}/{each};\n" for each in _TEMPORARY)
    text = f"""\
daemon off;
worker_processes 1;
pid {place}/nginx.pid;
error_log stderr info;
events {{ }}
http {{
{temporary}    access_log off;
    include {files[0]};
}}
"""
    return Around(command=[program, "-e", "stderr", "-c", f"{place}/nginx.conf"], files={"nginx.conf": text})


TRIAL: Final = ServerTrial(snippet=nginx.SNIPPET, kind="http", around=_around)
