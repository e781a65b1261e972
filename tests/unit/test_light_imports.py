"""What a program pays for importing one module: those that need neither TLS nor a database load none."""

import subprocess
import sys

import pytest

HEAVY = ("dnsbound._native", "sqlalchemy", "typer", "uvicorn")


@pytest.mark.parametrize(
    "module",
    [
        "dnsbound",
        "dnsbound.adapters.asgi",
        "dnsbound.adapters.wsgi",
        "dnsbound.adapters.behind_front",
    ],
)
def test_an_import_brings_nothing_heavy(module):
    program = f"import sys, {module}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.split() == []
