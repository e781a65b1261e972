"""Running `dnsbound eap test` in a test: its exit code and what it says of each trial."""

import json
from pathlib import Path
from typing import Any

import pytest

from dnsbound.cli.app import run
from dnsbound.credential.credential import Credential
from dnsbound.edge.credential_files import save_credential
from dnsbound.testing.world import World


def credential_file(directory: Path, name: str, credential: Credential) -> Path:
    file = directory / f"{name}.pem"
    save_credential(credential, file, force=True)
    return file


def secret_file(directory: Path, secret: str) -> Path:
    file = directory / "hop.secret"
    file.touch(0o600)
    file.write_text(secret + "\n")
    return file


def eap_test(capsys: pytest.CaptureFixture[str], world: World, *options: object) -> tuple[int, list[dict[str, Any]]]:
    """The DNS is the World's."""
    anchors = world.directory / "anchors.txt"
    arguments = ["--json", "--timeout", 20, "--resolver", world.resolver_address, "--anchors", anchors, *options]
    capsys.readouterr()
    code = run(["eap", "test", *map(str, arguments)])
    streams = capsys.readouterr()
    assert "Traceback" not in streams.err, streams.err
    return code, [json.loads(line) for line in streams.out.splitlines()]
