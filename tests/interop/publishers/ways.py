"""Every way to publish beside a real server, in one form: the tests of this directory go through all of them."""

import base64
import contextlib
import json
import shlex
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dnsbound.dns.tsig import TsigKey
from dnsbound.edge.publishers import open_publisher
from dnsbound.provision.entries import ZoneSettings
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publish.publisher import Change, Outcome, OutcomeKind, Publisher
from dnsbound.provision.publish.targets import Targets, parse_targets
from interop.daemon import started
from interop.primaries import API_KEY, FOREIGN, ZONE, Server, nsd, nsd_reload, powerdns, write_key

NEW: Final = "3 1 1 " + "ab" * 32
OTHER: Final = "3 1 1 " + "cd" * 32
TTL: Final = 60

Table = Callable[[bool], str]
"""The lines of a target's table, with the right secret or a wrong one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A running server and what a configuration says of it. directory: of the server. knows_refusals: a server that
    does not know us is told apart from one that fails. signs: the answers are signed."""

    server: Server
    table: Table
    knows_refusals: bool = True
    signs: bool = True

    @property
    def directory(self) -> Path:
        return self.server.directory

    def targets(self, zone: str = ZONE, *, right: bool = True) -> Targets:
        text = f'[publish."{zone}"]\n{self.table(right)}'
        return parse_targets(tomllib.loads(text).get("publish"), self.directory / "dnsbound.toml")

    @contextlib.contextmanager
    def publisher(self, zone: str = ZONE, *, right: bool = True) -> Iterator[Publisher]:
        opened = open_publisher(self.targets(zone, right=right)[zone])
        try:
            yield opened
        finally:
            opened.close()


@contextlib.contextmanager
def powerdns_api(directory: Path) -> Iterator[Way]:
    """PowerDNS through its HTTP API."""
    for right in (True, False):
        path = directory / f"api-{right}.key"
        path.write_text(f"{API_KEY if right else 'another'}\n")
        path.chmod(0o600)
    with powerdns(directory) as server:
        lines = f'to = "powerdns"\nurl = "{server.api}"\nbatch = 100\n'
        yield Way(server=server, table=lambda right: f'{lines}key_file = "api-{right}.key"\n')


@contextlib.contextmanager
def octodns(directory: Path) -> Iterator[Way]:
    """A provider of OctoDNS, driven by us: its own for PowerDNS."""
    with powerdns(directory) as server:
        for right in (True, False):
            (directory / f"octodns-{right}.yaml").write_text(
                "zones: {}\nproviders:\n  pdns:\n    class: octodns_powerdns.PowerDnsProvider\n    host: 127.0.0.1\n"
                f"    port: {server.api.rpartition(':')[2]}\n    api_key: {API_KEY if right else 'wrong'}\n"
                "    mode_of_operation: native\n"
            )
        lines = 'to = "octodns"\nprovider = "pdns"\nbatch = 100\n'
        yield Way(server=server, table=lambda right: f'{lines}config = "octodns-{right}.yaml"\n', knows_refusals=False)


@contextlib.contextmanager
def updates(primary: Callable[[Path], AbstractContextManager[Server]], directory: Path) -> Iterator[Way]:
    """A primary that takes dynamic updates."""
    wrong = TsigKey.parse(f"hmac-sha256:upd:{base64.b64encode(b'w' * 32).decode()}")
    write_key(directory, name="tsig-True.key")
    write_key(directory, wrong, name="tsig-False.key")
    with primary(directory) as server:
        lines = f'to = "rfc2136"\nserver = "{server.address}"\nbatch = 100\n'
        yield Way(server=server, table=lambda right: f'{lines}key_file = "tsig-{right}.key"\n')


@contextlib.contextmanager
def zone_file(directory: Path) -> Iterator[Way]:
    """A file that NSD includes in a zone of somebody else and reads again when it is told to; nobody signs.

    NSD 4.6 looks at the time of the zone file alone, not at that of what it includes, so that one is touched.
    """
    (directory / "ours.zone").write_text("")
    text = (
        f"$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 5\n@ NS ns\nns A 127.0.0.1\nforeign TLSA {FOREIGN}\n"
        f"shared TLSA {FOREIGN}\nalias CNAME ns\n$INCLUDE {directory / 'ours.zone'}\n"
    )
    with nsd(directory, text=text) as server:
        script = f"touch {directory / f'{ZONE}.zone'} && exec {shlex.join(nsd_reload(server))}"
        after = json.dumps(["sh", "-c", script])
        yield Way(server=server, table=lambda _: f'to = "zonefile"\nfile = "ours.zone"\nafter = {after}\n', signs=False)


@contextlib.contextmanager
def embedded(directory: Path) -> Iterator[Way]:
    """The authority of this package, which answers out of the inventory beside it, unsigned."""
    name = OwnerName.parse(ZONE)
    ns = OwnerName.parse(f"ns.{ZONE}")
    with Inventory.open(directory / "inventory.db", create=True) as inventory:
        settings = ZoneSettings(name=name, nameservers=(ns,), rname=OwnerName.parse(f"hostmaster.{ZONE}"), ttl=TTL)
        inventory.zones.create(settings, now=0.0, actor="tests")
    command = [sys.executable, "-m", "dnsbound", "serve", "dns", "--json", "--port", "0"]
    command += ["--inventory", str(directory / "inventory.db")]
    with started(command, directory / "serve.log", output=directory / "serve.out") as daemon:
        port = int(json.loads(daemon.wait_for_line())["addresses"][0].rpartition(":")[2])
        server = Server(port=port, daemon=daemon, directory=directory, zones=(ZONE,))
        yield Way(server=server, table=lambda _: 'to = "embedded"\n', signs=False)


def change(
    name: str,
    *,
    after: tuple[str, ...] = (),
    before: tuple[str, ...] = (),
    rdtype: str = "TLSA",
    ttl: int = TTL,
    zone: str = ZONE,
) -> Change:
    """A change of a name relative to the zone."""
    owner = OwnerName.parse(f"{name}.{zone}", wildcard=True)
    return Change(owner=owner, rdtype=rdtype, before=before, after=after, ttl=ttl)


def applied(publisher: Publisher, *changes: Change) -> list[OutcomeKind]:
    """What became of the changes, in their order; one outcome each."""
    outcomes: dict[Change, Outcome] = {outcome.change: outcome for outcome in publisher.apply(changes)}
    assert len(outcomes) == len(changes)
    for outcome in outcomes.values():
        assert (outcome.kind is OutcomeKind.DONE) == (outcome.line == "")
        assert "\n" not in outcome.line
    return [outcomes[one].kind for one in changes]
