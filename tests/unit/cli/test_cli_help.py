"""Help pages, versions, completion, and what is loaded for them."""

import subprocess
import sys

import pytest
import typer

from dnsbound.cli.app import app


def commands(group=None, path=()):
    command = typer.main.get_command(app) if group is None else group
    for name, child in getattr(command, "commands", {}).items():
        if hasattr(child, "commands"):
            yield from commands(child, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.parametrize("path", list(commands()), ids=" ".join)
def test_every_command_has_help_with_an_example(dnsbound, path):
    ran = dnsbound(*path, "--help")
    assert ran.code == 0
    assert "Example: dnsbound " + " ".join(path) in ran.out
    assert ran.err == ""


def test_what_programs_read_is_there_as_json(dnsbound):
    for path in commands():
        if path[-1] in {"list", "show", "new", "revoke", "record", "match", "explain", "doctor", "ds", "demo-api"}:
            assert "--json" in dnsbound(*path, "--help").out, path


def test_version_names_openssl(dnsbound):
    from dnsbound._native import OPENSSL_VERSION

    ran = dnsbound("--version")
    assert ran.code == 0
    assert ran.out.startswith("dnsbound ")
    assert OPENSSL_VERSION in ran.out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(dnsbound, shell):
    ran = dnsbound("completion", shell)
    assert ran.code == 0
    assert "_DNSBOUND_COMPLETE" in ran.out


def test_completion_completes(program, monkeypatch):
    monkeypatch.setenv("_DNSBOUND_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "dnsbound id ")
    monkeypatch.setenv("COMP_CWORD", "2")
    ran = program()
    assert ran.code == 0
    assert {"new", "list", "show", "block"} <= set(ran.out.split())


HEAVY = ("sqlalchemy", "alembic", "uvicorn", "starlette", "cryptography", "dns.name", "asyncio", "uvloop")


@pytest.mark.parametrize("arguments", [["--help"], ["id", "--help"], ["id", "new", "--help"], ["record", "missing"]])
def test_nothing_heavy_is_loaded_for_help(arguments):
    code = (
        "import sys\nfrom dnsbound.cli.app import run\n"
        f"run({arguments!r})\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=True)
    assert done.stderr.decode().splitlines()[-1] == "[]"
