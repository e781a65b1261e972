"""A device whose keys are on a token enrols and renews: the token makes them and signs the requests."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnsbound.credential.pkcs11_uri import Pkcs11Uri
from dnsbound.edge.credential_files import load_credential
from dnsbound.edge.pkcs11_keys import Pkcs11Key
from dnsbound.testing.world import World
from interop.est.est_site import CAR, TRUCK, Clock, Site, est_site
from interop.tokens import TestToken

pytestmark = pytest.mark.peer("softhsm2-util")

SECONDS = 60


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with World(clock=Clock()) as world, est_site(world, tmp_path) as running:
        yield running


def enrol(site: Site, here: Path, *arguments: str, token: str = "") -> subprocess.CompletedProcess[str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("DNSBOUND_", "XDG_"))}
    server = ("--server", f"https://localhost:{site.port}", "--ca", str(site.world.directory / "web-root.pem"))
    return subprocess.run(
        [sys.executable, "-m", "dnsbound", "enrol", *arguments, *server, "--danger-unchecked"],
        env=kept | site.world.trust_env() | {"HOME": str(here), "DNSBOUND_ENROL_TOKEN": token},
        cwd=here,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_a_key_that_never_leaves_its_token(site: Site, token: TestToken, tmp_path: Path) -> None:
    uri = token.uri("enrolled").to_text()
    done = enrol(site, tmp_path, "request", CAR.text, "--key", uri, token=site.token(CAR))
    assert done.returncode == 0, done.stderr
    file = tmp_path / f"{CAR}.pem"
    held = load_credential(file)
    assert isinstance(held.signer, Pkcs11Key)
    assert held.private_key is None
    assert b"PRIVATE KEY" not in file.read_bytes()
    assert held.spki == site.inventory.identities.named(CAR).spki
    assert held.chain == (site.inventory.identities.named(CAR).key.certificate,)


def test_the_key_in_use_is_not_taken_for_the_next_one(site: Site, token: TestToken, tmp_path: Path) -> None:
    uri = token.uri("kept").to_text()
    secret = site.token(TRUCK)
    assert enrol(site, tmp_path, "request", TRUCK.text, "--key", uri, "--wait", "0s", token=secret).returncode == 3
    site.publish(TRUCK)
    assert enrol(site, tmp_path, "request", TRUCK.text, "--key", uri, token=secret).returncode == 0
    file = f"{TRUCK}.pem"
    same = enrol(site, tmp_path, "renew", file, "--key", uri)
    assert (same.returncode, "in use" in same.stderr) == (2, True)
    other = enrol(site, tmp_path, "renew", file, "--key", token.uri("next").to_text())
    assert other.returncode == 3, other.stderr
    begun = site.inventory.rolls.of(TRUCK)
    assert begun is not None
    assert begun.new_spki == Pkcs11Key.open(Pkcs11Uri.parse(token.uri("next").to_text())).spki
