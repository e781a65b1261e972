"""Apache around its snippet."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from dnsbound.adapters.fronts import apache
from dnsbound.errors import PeerError
from dnsbound.testing.front_trials.running import Around, ServerTrial

_MODULES: Final = (
    *("mpm_event", "authz_core", "authz_host", "access_compat", "ssl", "socache_shmcb", "lua", "headers", "proxy"),
    "proxy_http",
)
_PLACES: Final = ("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules", "/usr/libexec/apache2")


def _around(program: str, place: Path, files: Sequence[Path]) -> Around:
    modules = next((found for found in map(Path, _PLACES) if (found / "mod_lua.so").exists()), None)
    if modules is None:
        raise PeerError("Apache's mod_lua is not installed")
    loaded = "".join(f"LoadModule {each}_module {modules}/mod_{each}.so\n" for each in _MODULES)
    text = f"""\
{loaded}ServerRoot {place}
PidFile {place}/apache.pid
Mutex file:{place} default
ServerName localhost
ErrorLog {place}/error.log
LogLevel info
Include {files[0]}
"""
    return Around(command=[program, "-DFOREGROUND", "-f", f"{place}/apache.conf"], files={"apache.conf": text})


TRIAL: Final = ServerTrial(snippet=apache.SNIPPET, kind="http", around=_around)
