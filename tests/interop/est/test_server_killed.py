"""`dnsbound serve est` as a process that is killed between publishing and answering, and started again."""

import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dnsbound.credential.certificate_facts import spki_of
from dnsbound.credential.credential import certificates_from_pem
from dnsbound.credential.keys import spki_der
from dnsbound.names import ClientName
from dnsbound.provision.inventory import Inventory
from dnsbound.testing.world import World
from interop.daemon import Daemon, eventually, started
from interop.est.est_site import ELSEWHERE, TRUCK, Site, new_key

SECONDS = 30.0


@contextlib.contextmanager
def served(world: World, here: Path, servers: str) -> Iterator[tuple[Daemon, int]]:
    """The program, told that the zone is published to these servers; its port."""
    (here / "targets.toml").write_text(
        f'[publish."{ELSEWHERE}"]\nto = "rfc2136"\nserver = "{servers}"\nservers = ["{servers}"]\nkey_file = "unused"\n'
    )
    own = here / "own.pem"
    if not own.exists():
        own.touch(0o600)
        own.write_bytes(world.web_credential("localhost").to_pem())
    files = ["--credential", "own.pem", "--issuer", "issuer.pem", "--targets", "targets.toml"]
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("DNSBOUND_", "XDG_"))}
    environment |= world.trust_env() | {"DNSBOUND_INVENTORY": str(here / "inventory.db"), "PYTHONUNBUFFERED": "1"}
    with started(
        [sys.executable, "-m", "dnsbound", "serve", "est", *files, "--port", "0", "--json"],
        here / "est.log",
        output=here / "est.out",
        cwd=here,
        env=environment,
    ) as daemon:
        facts: dict[str, Any] = json.loads(daemon.wait_for_line())
        yield daemon, int(facts["url"].rstrip("/").rpartition(":")[2])


def at(port: int, world: World, inventory: Inventory) -> Site:
    import ssl

    trust = ssl.create_default_context(cadata=world.web_root_pem.decode())
    return Site(world, inventory, world.now, None, trust, None, port)  # type: ignore[arg-type] # not asked for


@pytest.fixture
def mute() -> Iterator[str]:
    """A DNS server that takes every question and never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{silent.getsockname()[1]}"


def test_killed_between_publishing_and_answering(internet: World, tmp_path: Path, mute: str) -> None:
    internet.organisation(ELSEWHERE.text)
    key = new_key()
    with Inventory.open(tmp_path / "inventory.db", create=True) as inventory:
        token = at(0, internet, inventory).token(TRUCK)

        def is_registered() -> bool:
            return [identity.name for identity in inventory.identities.all()] == [TRUCK]

        with served(internet, tmp_path, mute) as (daemon, port):
            connection = at(port, internet, inventory).connect()
            body = body_and_headers(key, token)
            connection.request("POST", "/.well-known/est/simpleenroll", **body)
            # Registered and published; the answer waits for a server that will never say anything.
            eventually(is_registered, SECONDS, otherwise=lambda: "nobody was registered")
            daemon.process.send_signal(signal.SIGKILL)
            daemon.process.wait(SECONDS)
            with pytest.raises((ConnectionError, OSError)):
                connection.getresponse()
            connection.close()

        with served(internet, tmp_path, str(internet.authority_address)) as (_, port):
            site = at(port, internet, inventory)
            assert site.enrol(key, token, TRUCK).status == 202, "the DNS host does not show it yet"
            assert site.enrol(new_key(), token, TRUCK).status == 401
            site.publish(TRUCK)
            granted = site.enrol(key, token, TRUCK)
            assert granted.status == 200
            assert spki_of(granted.certificates[0]) == spki_der(key.public_key())
        actions = [event.action for event in inventory.events(subject=TRUCK.canonical)]
        assert actions == ["permit-enrolment", "register", "enrol"]
        assert inventory.identities.named(TRUCK).key.certificate == granted.certificates[0]
    internet.organisation(ELSEWHERE.text).remove(TRUCK.text)


def body_and_headers(key: Any, token: str, name: ClientName = TRUCK) -> dict[str, Any]:
    from dnsbound.provision.enrolment import est_messages as wire
    from interop.est.est_site import body_of

    authorization = wire.BasicCredentials(user=name.text, password=token).to_text()
    return {"body": body_of(key, name), "headers": {"content-type": wire.PKCS10, "authorization": authorization}}


def test_the_issuer_is_the_same_after_a_restart(internet: World, tmp_path: Path) -> None:
    with Inventory.open(tmp_path / "inventory.db", create=True) as inventory:
        told = []
        for _ in range(2):
            with served(internet, tmp_path, str(internet.authority_address)) as (daemon, port):
                told.append(at(port, internet, inventory).ask("cacerts").certificates)
                daemon.process.send_signal(signal.SIGTERM)
                assert daemon.process.wait(SECONDS) == 0
    assert told[0] == told[1] == certificates_from_pem((tmp_path / "issuer.pem").read_bytes())
    assert (tmp_path / "issuer.pem").stat().st_mode & 0o777 == 0o600
