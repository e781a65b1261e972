"""What the numbers were measured on: processor, versions, load. Nothing that names the machine itself."""

import os
import platform
import re
import ssl
import subprocess
from collections.abc import Sequence
from pathlib import Path

import cryptography
import dns.version
from cryptography.hazmat.backends.openssl import backend

from bench.table import Table
from dnsbound import _native


def facts() -> Table:
    table = Table("Machine", ["what", "which"])
    table.row("processor", f"{_processor()}, {os.cpu_count()} cores")
    table.row("system", f"{platform.system()} {platform.release()}")
    table.row("Python", platform.python_version())
    table.row("OpenSSL of dnsbound", f"{_native.OPENSSL_VERSION}{' (vendored)' if _native.VENDORED else ''}")
    table.row("OpenSSL of Python's ssl", ssl.OPENSSL_VERSION)
    table.row("cryptography", f"{cryptography.__version__} with {backend.openssl_version_text()}")
    table.row("dnspython", dns.version.version)
    table.row("nginx", _said_by(["nginx", "-V"], r"nginx version: (\S+)", r"built with (OpenSSL \S+)"))
    table.row("unbound", _said_by(["unbound", "-V"], r"Version (\S+)", r"(OpenSSL \d\S+)"))
    table.row("FreeRADIUS", _said_by(["freeradius", "-v"], r"FreeRADIUS Version ([0-9.]+)"))
    table.row("load before", load())
    return table


def load() -> str:
    """Runnable tasks over 1 and 5 minutes. The benchmark itself counts as one."""
    one, five, _ = os.getloadavg()
    return f"{one:.2f} over 1 minute, {five:.2f} over 5"


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _said_by(command: Sequence[str], *patterns: str) -> str:
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except OSError:
        return "not installed"
    said = run.stdout + run.stderr
    return ", ".join(found[1] for pattern in patterns if (found := re.search(pattern, said)))
