"""`dnsbound enrol request` and `renew` as a device runs them, at a real server, with kills where they hurt most."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dnsbound import Credential
from dnsbound.credential.credential import Credential as Made
from dnsbound.edge.credential_files import load_credential, save_credential
from dnsbound.edge.enrolment_files import EnrolmentFiles
from dnsbound.names import ClientName
from dnsbound.provision.enrolment.permission import key_digest
from dnsbound.provision.lifecycle.machine import RollState
from interop.daemon import eventually
from interop.est.est_site import CAR, TRUCK, TTL, Site
from unit.rolling import Rolling

PROGRAM = (sys.executable, "-m", "dnsbound", "enrol")
SECONDS = 60


class Device:
    """A device's directory, and its environment: World as the DNS, and the token where no other process sees it."""

    def __init__(self, site: Site, here: Path) -> None:
        self.site = site
        self.here = here
        self.environment = {
            **{name: text for name, text in os.environ.items() if not name.startswith(("DNSBOUND_", "XDG_"))},
            **site.world.trust_env(),
            "HOME": str(here),
        }
        self.server = ("--server", f"https://localhost:{site.port}", "--ca", str(site.world.directory / "web-root.pem"))

    def file(self, name: ClientName = TRUCK) -> Path:
        return self.here / "out" / f"{name.canonical}.pem"

    def start(self, *arguments: str, token: str = "") -> subprocess.Popen[str]:
        environment = self.environment | ({"DNSBOUND_ENROL_TOKEN": token} if token else {})
        return subprocess.Popen(
            [*PROGRAM, *arguments, *self.server],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=self.here,
        )

    def run(self, *arguments: str, token: str = "") -> tuple[int, str, str]:
        process = self.start(*arguments, token=token)
        try:
            out, err = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
        return process.returncode, out, err

    def request(self, *options: str, name: ClientName = TRUCK, token: str = "") -> tuple[int, str, str]:
        return self.run("request", name.text, "--out", "out", *options, token=token)

    def holds(self, path: Path | None = None) -> Credential:
        return load_credential(path or self.file())


@pytest.fixture
def device(site: Site, tmp_path: Path) -> Device:
    (tmp_path / "device").mkdir()
    return Device(site, tmp_path / "device")


@pytest.mark.parametrize("options", [(), ("--raw",), ("--raw", "--algorithm", "ed25519")])
def test_a_device_enrols(device: Device, options: tuple[str, ...]) -> None:
    token = device.site.token(TRUCK)
    publishing = threading.Thread(target=lambda: published_soon(device.site))
    publishing.start()
    code, out, err = device.request(*options, "--json", token=token)
    publishing.join()
    assert code == 0, err
    said = json.loads(out)
    held = device.holds()
    assert (said["name"], said["kind"]) == (TRUCK.text, "raw" if options else "x509")
    assert [record.rdata for record in device.site.inventory.identities.named(TRUCK).records] == [said["record"]]
    assert held.tlsa().to_text() == said["record"]
    assert bool(held.chain) is not bool(options)
    assert [path.name for path in device.file().parent.iterdir()] == [device.file().name]
    assert device.file().stat().st_mode & 0o777 == 0o600


def published_soon(site: Site) -> None:
    """What the runner does meanwhile."""
    from dnsbound.provision.errors import NotInInventory

    def is_published() -> bool:
        try:
            site.publish(TRUCK)
        except NotInInventory:
            return False
        return True

    eventually(is_published, SECONDS, otherwise=lambda: "nobody enrolled")


def test_the_token_from_a_file_and_from_standard_input(device: Device) -> None:
    file = device.here / "token"
    file.write_text(device.site.token(CAR) + "\n")
    assert device.request("--token-file", "token", "--danger-unchecked", name=CAR)[0] == 2, "others may read it"
    file.chmod(0o600)
    assert device.request("--token-file", "token", "--danger-unchecked", name=CAR)[0] == 0
    assert device.request(name=TRUCK)[0] == 2, "no token at all"


def test_a_no_is_a_no_and_loses_nothing(device: Device) -> None:
    code, _, err = device.request("--danger-unchecked", name=CAR, token=device.site.token(TRUCK))
    assert code == 1
    assert "401" in err
    assert len(err.splitlines()) == 1
    assert not device.file(CAR).exists()
    assert device.request("--danger-unchecked", name=CAR, token=device.site.token(CAR))[0] == 0
    assert device.request("--danger-unchecked", name=CAR, token=device.site.token(TRUCK))[0] == 2, "it is there already"


def test_a_device_does_not_believe_the_server_alone(device: Device) -> None:
    """The inventory publishes this name itself, and no DNS that the device asks knows it."""
    code, out, err = device.request("--wait", "1s", name=CAR, token=device.site.token(CAR))
    assert (code, out) == (3, "")
    assert "does not show it" in err
    assert not device.file(CAR).exists()
    assert EnrolmentFiles(device.file(CAR)).new.exists(), "the key of a published record is not lost"


@pytest.mark.parametrize("moment", ["asked", "granted"])
def test_a_device_that_is_killed_goes_on_with_its_key(device: Device, moment: str) -> None:
    token = device.site.token(TRUCK)
    process = device.start("request", TRUCK.text, "--out", "out", token=token)
    registered = lambda: bool(list(device.site.inventory.identities.all()))  # noqa: E731 (one line says it)
    try:
        eventually(registered, SECONDS, otherwise=lambda: "it never asked")
        if moment == "granted":
            device.site.publish(TRUCK)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=SECONDS)
    device.site.publish(TRUCK)
    assert device.request(token=token)[0] in (0, 2)  # 2: the kill came after the end
    assert device.holds().spki == device.site.inventory.identities.named(TRUCK).spki
    assert len(list(device.site.inventory.identities.all())) == 1


def test_the_key_a_device_was_made_with(device: Device) -> None:
    site = device.site
    factory = Made.generate("sn54.maker.invalid", now=site.clock())
    save_credential(factory, device.here / "factory.pem")
    assert device.request("--factory", "factory.pem", "--danger-unchecked", name=CAR)[0] == 1
    site.inventory.permissions.expect(CAR, key_sha256=key_digest(factory.spki), now=site.clock(), actor="operations")
    assert device.request("--factory", "factory.pem", "--danger-unchecked", name=CAR)[0] == 0
    assert device.holds(device.file(CAR)).spki == site.inventory.identities.named(CAR).spki != factory.spki


def test_the_name_a_maker_gave(device: Device) -> None:
    site = device.site
    made = site.world.organisation("maker.example").device("sn77", kind="raw")
    save_credential(made.credential, device.here / "factory.pem")
    site.inventory.permissions.expect(CAR, maker=made.name, now=site.clock(), actor="operations")
    by_key_alone = device.request("--factory", "factory.pem", "--danger-unchecked", name=CAR)
    assert by_key_alone[0] == 1
    code, _, err = device.request(
        "--factory", "factory.pem", "--factory-name", made.name.text, "--danger-unchecked", name=CAR
    )
    assert code == 0, err


def test_a_server_that_is_known_by_its_record(device: Device) -> None:
    site = device.site
    host = site.world.organisation("localhost")
    host.address("localhost", "127.0.0.1")
    device.server = ("--server", f"https://localhost:{site.port}", "--server-tlsa")
    token = site.token(CAR)
    code, _, err = device.request("--danger-unchecked", name=CAR, token=token)
    assert (code, "no-tlsa" in err) == (1, True), "nobody vouches for the server"
    host.publish(f"_{site.port}._tcp.localhost", site.own.tlsa())
    try:
        code, _, err = device.request("--danger-unchecked", name=CAR, token=token)
        assert code == 0, err
    finally:
        host.remove(f"_{site.port}._tcp.localhost")


def test_a_device_renews_its_key(device: Device) -> None:
    site = device.site
    token = site.token(TRUCK)
    device.request("--wait", "0s", token=token)
    site.publish(TRUCK)
    assert device.request(token=token)[0] == 0
    before, rolling, file = device.holds(), Rolling(site.inventory), str(device.file())

    code, _, err = device.run("renew", file)
    assert code == 3, err
    assert device.holds() == before
    rolling.wall = site.clock() + 60
    rolling.turn()
    site.publish(TRUCK)
    for _ in range(3):
        rolling.passes(600)
        rolling.turn()
    assert rolling.roll(TRUCK).state is RollState.SWITCH
    site.clock.ahead += 2 * TTL
    eventually(lambda: device.run("renew", file, "--wait", "5s")[0] == 0, SECONDS, otherwise=lambda: "not renewed")
    after = device.holds()
    assert after.spki == rolling.roll(TRUCK).new_spki != before.spki
    assert rolling.roll(TRUCK).state is RollState.RETIRE, "its login ended the old key"
    assert [path.name for path in device.file().parent.iterdir()] == [device.file().name]
