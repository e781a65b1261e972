"""The public module: its names exist, and importing it stays cheap."""

import subprocess
import sys

import dnsbound


def test_every_public_name_can_be_had() -> None:
    for name in dnsbound.__all__:
        assert getattr(dnsbound, name) is not None


def test_about_25_names_sorted() -> None:
    assert len(dnsbound.__all__) <= 32
    assert set(dir(dnsbound)) == set(dnsbound.__all__)


def test_importing_loads_no_event_loop_database_or_web_framework() -> None:
    heavy = ("asyncio", "sqlalchemy", "starlette", "uvicorn", "typer", "rich", "cryptography", "ssl")
    code = f"import sys, dnsbound; print([name for name in {heavy!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.strip() == "[]"


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(dnsbound, "no_such_name")


def test_signing_objects_loads_no_network_database_or_native_module() -> None:
    heavy = ("asyncio", "sqlalchemy", "starlette", "uvicorn", "typer", "rich", "ssl", "dnsbound._native", "joserfc")
    code = f"import sys, dnsbound.objects.jose; print([name for name in {heavy!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.strip() == "[]"
