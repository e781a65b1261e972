"""`dnsbound serve authz --materialise-once`: files from the DNS, without serving anybody."""

import json
import os
import subprocess
import sys
from pathlib import Path

from dnsbound.cli.exit_codes import ExitCode
from dnsbound.records.tlsa import TLSA
from dnsbound.testing import World

COMMAND = [sys.executable, "-m", "dnsbound", "serve", "authz", "--materialise-once", "--json", "--config"]
AUTHZ = '[server]\naccess = "access.toml"\n'
SITE = '[materialise.site]\ndoor = "api"\nform = "by-name"\npath = "store"\n'
FRONT = '[front.x]\nprotocol = "lines"\nlisten = "unix:{place}/x.sock"\nusers = ["root"]\ndoor = "api"\n'


def once(place: Path, world: World, authz: str) -> "subprocess.CompletedProcess[str]":
    (place / "authz.toml").write_text(authz)
    (place / "access.toml").write_text('[door.api]\nallow = ["car54._device.cars.example"]\n')
    environment = {**os.environ, **world.trust_env()}
    command = [*COMMAND, str(place / "authz.toml")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_files_are_written_and_told(tmp_path: Path) -> None:
    with World() as world:
        device = world.organisation("cars.example").device("car54")
        record = TLSA(3, 0, 0, device.credential.chain[0])
        world.organisation("cars.example").replace("car54._device", record, ttl=1)
        first = once(tmp_path, world, AUTHZ + FRONT.format(place=tmp_path) + SITE)
        second = once(tmp_path, world, AUTHZ + SITE)
    assert (first.returncode, json.loads(first.stdout)) == (
        0,
        {"changed": {"site": ["car54._device.cars.example.pem"]}},
    )
    assert (second.returncode, json.loads(second.stdout)) == (0, {"changed": {"site": []}})
    assert not (tmp_path / "x.sock").exists(), "nobody is served"


def test_nothing_to_write_is_wrong_use(tmp_path: Path) -> None:
    with World() as world:
        came = once(tmp_path, world, AUTHZ + FRONT.format(place=tmp_path))
    assert came.returncode == ExitCode.USAGE
    assert len(came.stderr.strip().splitlines()) == 1
