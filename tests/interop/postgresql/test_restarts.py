"""A server restarted or crashed under load: one clear error each, nothing half done, and everybody goes on."""

import hashlib
import signal
import threading
import time
from contextlib import suppress

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import text

from dnsbound.dns.authority import Arrival, Authority, Transport
from dnsbound.names import ClientName
from dnsbound.provision.entries import ZoneSettings
from dnsbound.provision.errors import ChangeUnconfirmed, InventoryFailed
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.zone_data import InventoryZones
from dnsbound.records.tlsa import TLSA
from interop.daemon import eventually
from interop.postgres import postgres

pytestmark = pytest.mark.peer("postgres")

NOW = 1_800_000_000.0
ZONE = OwnerName.parse("cars.example")
SPKI = (
    ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
)
RECORD = TLSA(3, 1, 1, hashlib.sha256(SPKI).digest())
SECONDS = 60.0


@pytest.fixture(scope="module")
def started():
    """One of its own: the shared one is not restarted."""
    with postgres() as server:
        yield server


@pytest.fixture
def server(started):
    """Running again after a test that failed while it was away."""
    if started.process is None:
        started.start()
    return started


@pytest.fixture
def url(server):
    url = server.inventory()
    with Inventory.open(url) as inventory:
        settings = ZoneSettings(name=ZONE, nameservers=(ZONE,), rname=ZONE, ttl=2)
        inventory.zones.create(settings, now=NOW, actor="operations")
    return url


class Load(threading.Thread):
    """Registers name after name and lists them, each failure noted, until it is told to stop."""

    def __init__(self, url, number):
        super().__init__(daemon=True)
        self.url = url
        self.number = number
        self.ended = threading.Event()
        self.done = []
        self.unconfirmed = []
        self.failures = []
        self.strange = []

    def run(self):
        with Inventory.open(self.url, busy_seconds=30) as inventory:
            turn = 0
            while not self.ended.is_set():
                turn += 1
                name = f"car{self.number}-{turn}.cars.example"
                try:
                    inventory.identities.register(
                        ClientName.parse(name), spki=SPKI, records=[RECORD], ttl=2, now=NOW, actor=f"load {self.number}"
                    )
                    self.done.append(name)
                    assert sum(1 for _ in inventory.identities.all(below=OwnerName.parse(name))) == 1
                except ChangeUnconfirmed as error:
                    self.unconfirmed.append(name)
                    self.failures.append(error)
                except InventoryFailed as error:
                    self.failures.append(error)
                    time.sleep(0.05)  # as a caller would before it tries the next one
                except BaseException as error:  # noqa: BLE001 (whatever it is, the test tells of it)
                    self.strange.append(error)
                    return


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["restarted", "crashed"])
def test_everybody_goes_on_and_nothing_is_half_done(server, url, how):
    loads = [Load(url, number) for number in range(4)]
    for load in loads:
        load.start()
    eventually(lambda: all(len(load.done) > 5 for load in loads), SECONDS)
    server.stop(how)
    eventually(lambda: all(load.failures for load in loads), SECONDS)
    server.start()
    before = [len(load.done) for load in loads]
    eventually(lambda: all(len(load.done) > count + 5 for load, count in zip(loads, before, strict=True)), SECONDS)
    for load in loads:
        load.ended.set()
    for load in loads:
        load.join(SECONDS)
    assert [load.strange for load in loads] == [[]] * 4
    for error in (error for load in loads for error in load.failures):
        assert "\n" not in str(error)
    with Inventory.open(url) as inventory:
        kept = {identity.name.text: len(identity.records) for identity in inventory.identities.all()}
        expected = {name for load in loads for name in load.done}
        perhaps = {name for load in loads for name in load.unconfirmed}
        assert expected <= set(kept) <= expected | perhaps
        assert set(kept.values()) == {1}
        assert len([event for event in inventory.events() if event.action == "register"]) == len(kept)
        assert len(list(inventory.zones.records(ZONE))) == len(kept)
        assert inventory.zones.named(ZONE).serial == 1 + len(kept)


def test_a_change_whose_commit_is_cut_off_is_said_to_be_unconfirmed(server, url):
    with Inventory.open(url) as inventory:
        database = inventory.database

        def change():
            with database.writing() as connection:
                connection.execute(
                    text("INSERT INTO events (at, actor, action, subject, detail) VALUES (1, 'a', 'b', 'c', '{}')")
                )
                server.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dnsbound'")

        with pytest.raises(ChangeUnconfirmed, match="look before repeating"):
            change()
        assert [event.action for event in inventory.events()] == ["create-zone"]


def test_a_cut_in_the_middle_is_undone_and_told(server, url):
    with Inventory.open(url) as inventory:
        database = inventory.database

        def change():
            with database.writing() as connection:
                connection.execute(text("UPDATE zones SET serial = 99"))
                server.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dnsbound'")
                connection.execute(text("UPDATE zones SET serial = 100"))

        with pytest.raises(InventoryFailed) as caught:
            change()
        assert not isinstance(caught.value, ChangeUnconfirmed)
        assert inventory.zones.named(ZONE).serial == 1


def test_an_authority_fails_while_the_server_is_away_and_sees_what_changed_meanwhile(server, url):
    name = ClientName.parse("car1.cars.example")
    with Inventory.open(url) as inventory:
        inventory.identities.register(name, spki=SPKI, records=[RECORD], ttl=2, now=NOW, actor="operations")
        zones = InventoryZones(inventory, lambda _origin, _path: None)
        authority = Authority(zones)

        def rcode():
            query = dns.message.make_query(name.text, "TLSA")
            arrival = Arrival(source="127.0.0.1", transport=Transport.TCP, now=NOW)
            return dns.message.from_wire(authority.respond(query.to_wire(), arrival)).rcode()

        assert rcode() == dns.rcode.NOERROR
        server.stop()
        origin = dns.name.from_text("cars.example")
        # The server's last words may be read before it is seen that it has gone.
        eventually(lambda: answered(lambda: zones.find(origin)) is None, SECONDS)
        for _ in range(3):
            with pytest.raises(InventoryFailed):
                zones.find(origin)
        server.start()
        with Inventory.open(url) as other:
            other.identities.revoke(name, now=NOW, actor="another process")
        eventually(lambda: answered(rcode) == dns.rcode.NXDOMAIN, SECONDS)
        zones.close()


def answered(ask):
    with suppress(InventoryFailed):
        return ask()
    return None


def test_a_change_is_seen_by_notification_alone(server, url, monkeypatch):
    monkeypatch.setattr("dnsbound.provision.postgresql_watch.ASK_SECONDS", 3600.0)
    with Inventory.open(url) as inventory, Inventory.open(url) as other:
        watch = inventory.watch()
        seen = watch.version()
        assert watch.version() == seen
        other.identities.register(
            ClientName.parse("car1.cars.example"), spki=SPKI, records=[RECORD], ttl=2, now=NOW, actor="another"
        )
        eventually(lambda: watch.version() != seen, SECONDS)
        watch.close()


def test_without_notifications_a_change_is_seen_by_asking(server, url):
    """As behind a pooler that hands the connection to somebody else after each transaction."""
    with Inventory.open(url) as inventory:
        watch = inventory.watch()
        assert watch._connection is not None
        watch._connection.execute("UNLISTEN *")
        seen = watch.version()
        inventory.zones.set_keys(ZONE, server.directory / "key", [], now=NOW, actor="operations")
        assert eventually(lambda: watch.version() != seen, SECONDS) < 5
        watch.close()


def test_a_watch_that_lost_its_connection_counts_that_as_a_change(server, url):
    with Inventory.open(url) as inventory:
        watch = inventory.watch()
        seen = watch.version()
        server.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' OR query LIKE '%events'"
        )
        eventually(lambda: (answered(watch.version) or seen) != seen, SECONDS)
        watch.close()
