"""Mosquitto's own TLS with a `capath` that the materialiser writes: who comes in, and where removal does not bite."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from dnsbound.records.tlsa import TLSA
from dnsbound.testing import World
from dnsbound.testing.organisation import Device
from interop.authz_processes import authz_processes, becomes, open_place, write_pem
from interop.daemon import Daemon, free_port, program, run, started

pytestmark = [pytest.mark.peer("mosquitto"), pytest.mark.peer("mosquitto_pub")]
NAMES: Final = ("car54", "car55")
ALLOWED: Final = ", ".join(f'"{name}._device.cars.example"' for name in NAMES)


def publish_whole(world: World, name: str) -> Device:
    """A new device, with the certificate itself in the DNS."""
    device = world.organisation("cars.example").device(name)
    record = TLSA(3, 0, 0, device.credential.chain[0])
    world.organisation("cars.example").replace(f"{name}._device", record, ttl=1)
    return device


@dataclass(kw_only=True)
class Site:
    place: Path
    world: World
    port: int
    car54: Device

    def placed(self) -> set[str]:
        return {path.name for path in (self.place / "clients").iterdir() if not path.name.startswith(".")}

    def publishes(self, device: Device) -> bool:
        chain, key = write_pem(self.place, "client", device.credential)
        command = [
            *(program("mosquitto_pub"), "-h", "localhost", "-p", str(self.port), "-t", "t", "-m", "hi", "-q", "1"),
            *("--cafile", str(self.place / "root.pem"), "--cert", str(chain), "--key", str(key)),
        ]
        return run(command).returncode == 0

    def mosquitto(self) -> list[str]:
        return [program("mosquitto"), "-c", str(self.place / "mosquitto.conf")]


@pytest.fixture
def site() -> Iterator[Site]:
    with open_place() as place, World() as world:
        port = free_port()
        (place / "root.pem").write_bytes(world.web_root_pem)
        chain, key = write_pem(place, "server", world.web_credential("localhost"))
        key.chmod(0o644)
        (place / "mosquitto.conf").write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\ncertfile {chain}\nkeyfile {key}\n"
            f"capath {place / 'clients'}\nrequire_certificate true\nlog_dest stderr\n"
        )
        authz = '[materialise.mosquitto]\ndoor = "mqtt"\nform = "hashed-directory"\npath = "clients"\nseconds = 1\n'
        made = Site(place=place, world=world, port=port, car54=publish_whole(world, "car54"))
        with authz_processes(place, world, authz=authz, access=f"[door.mqtt]\nallow = [{ALLOWED}]\n"):
            becomes(lambda: len(made.placed()) == 1, "the certificate is not placed")
            yield made


def listening(daemon: Daemon) -> None:
    daemon.wait_for(lambda: "running" in daemon.log.read_text(), "it runs")


def test_a_placed_certificate_comes_in_and_no_other(site: Site) -> None:
    with started(site.mosquitto(), site.place / "mosquitto.log") as mosquitto:
        listening(mosquitto)
        assert site.publishes(site.car54), mosquitto.log_tail()
        assert not site.publishes(site.world.organisation("cars.example").device("car99"))
        later = publish_whole(site.world, "car55")
        becomes(lambda: len(site.placed()) == 2, "the second is not placed")
        assert site.publishes(later), "a file that comes later is found while Mosquitto runs"


def test_removal_bites_at_the_next_start_alone(site: Site) -> None:
    """What docs/howto/materialiser.md says."""
    device = site.car54
    with started(site.mosquitto(), site.place / "mosquitto.log") as mosquitto:
        listening(mosquitto)
        assert site.publishes(device)
        site.world.organisation("cars.example").remove("car54._device", "TLSA")
        becomes(lambda: not site.placed(), "the file stays")
        assert site.publishes(device), "OpenSSL has forgotten a certificate: the page is to be changed"
        os.kill(mosquitto.process.pid, signal.SIGHUP)
        mosquitto.wait_for(lambda: "Reloading config" in mosquitto.log.read_text(), "it reloads")
        assert site.publishes(device), "a reload has dropped a certificate: the page is to be changed"
    with started(site.mosquitto(), site.place / "mosquitto.log") as mosquitto:
        listening(mosquitto)
        assert not site.publishes(device)
