"""nginx around its snippet for TCP services."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from dnsbound.adapters.fronts import nginx_stream
from dnsbound.errors import PeerError
from dnsbound.testing.front_trials.running import Around, ServerTrial

_PLACES: Final = ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/etc/nginx/modules")
_MODULES: Final = ("ngx_stream_module.so", "ngx_stream_js_module.so")


def _around(program: str, place: Path, files: Sequence[Path]) -> Around:
    modules = next((found for found in map(Path, _PLACES) if (found / _MODULES[1]).exists()), None)
    if modules is None:
        raise PeerError("nginx's module njs for streams is not installed")
    loaded = "".join(f"load_module {modules}/{each};\n" for each in _MODULES if (modules / each).exists())
    text = f"""\
{loaded}daemon off;
worker_processes 1;
pid {place}/nginx.pid;
error_log stderr info;
events {{ }}
stream {{
    include {files[0]};
}}
"""
    return Around(command=[program, "-e", "stderr", "-c", f"{place}/nginx.conf"], files={"nginx.conf": text})


TRIAL: Final = ServerTrial(snippet=nginx_stream.SNIPPET, kind="tcp", around=_around, tells_name=False)
