"""Three authoritative servers with one zone of so many names, each with its own way of having it signed.

Ours reads the inventory and signs when asked; PowerDNS reads its SQLite database and signs when asked; NSD holds a zone
that was signed beforehand. A name has one TLSA record. Each is started with its settings as they come, but for the
limits on answers to one address, since a benchmark is one address.
"""

import contextlib
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeAlias

import dns.name
from sqlalchemy import insert

from bench.measured_process import MeasuredProcess, free_port
from bench.peer_missing import PeerMissing
from bench.signed_zone import ZONE, data, label, write_signed
from dnsbound.dns.signer import ZoneKeys
from dnsbound.edge.zone_key_files import save_zone_keys
from dnsbound.provision import schema
from dnsbound.provision.entries import ZoneSettings
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.owner import OwnerName

TTL = 300
_NOW = 1_700_000_000.0
_ROWS = 10_000
_POWERDNS_SCHEMA = Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")

Command: TypeAlias = Callable[[int], list[str]]
"""How the server is started on a port."""
Builder: TypeAlias = Callable[[Path, int], Command]
"""Lays the zone out in a directory with so many names."""


def build_ours(place: Path, names: int) -> Command:
    key_file = place / "zone.pem"
    keys = ZoneKeys.generate(dns.name.from_text(ZONE))
    save_zone_keys(key_file, keys)
    settings = ZoneSettings(
        name=OwnerName.parse(ZONE),
        nameservers=(OwnerName.parse(f"ns.{ZONE}"),),
        rname=OwnerName.parse(f"hostmaster.{ZONE}"),
        ttl=TTL,
    )
    with Inventory.open(place / "inventory.db", create=True) as inventory:
        inventory.zones.create(settings, key_path=key_file, ds=[], now=_NOW, actor="bench")
        with inventory.database.writing() as connection:
            for first in range(0, names, _ROWS):
                owners = [(number, OwnerName.parse(f"{label(number)}.{ZONE}")) for number in _span(first, names)]
                rows = [
                    {"owner": owner.text, "sort_key": owner.sort_key, "rdtype": "TLSA", "rdata": data(number)}
                    for number, owner in owners
                ]
                connection.execute(insert(schema.records), [row | {"ttl": TTL} for row in rows])
    return lambda port: [sys.executable, "-m", "bench.our_authority", str(place / "inventory.db"), str(port)]


def build_nsd(place: Path, names: int) -> Command:
    program = _found("nsd", package="nsd")
    zone_file = write_signed(place, names)

    def command(port: int) -> list[str]:
        (place / "nsd.conf").write_text(
            f"""
server:
    zonesdir: "{place}"
    zonelistfile: "{place}/zone.list"
    xfrdfile: "{place}/xfrd.state"
    xfrdir: "{place}"
    pidfile: ""
    database: ""
    username: ""
    chroot: ""
    server-count: 1
    ip-address: 127.0.0.1@{port}
    rrl-ratelimit: 0
remote-control:
    control-enable: no
zone:
    name: "{ZONE}"
    zonefile: "{zone_file}"
"""
        )
        return [program, "-d", "-c", str(place / "nsd.conf")]

    return command


def build_powerdns(place: Path, names: int) -> Command:
    program, tool = _found("pdns_server", package="pdns-server"), _found("pdnsutil", package="pdns-server")
    if not _POWERDNS_SCHEMA.exists():
        raise PeerMissing("the SQLite back end of PowerDNS is not installed (Debian package pdns-backend-sqlite3)")
    (place / "pdns.conf").write_text(
        f"launch=gsqlite3\ngsqlite3-database={place}/db\ngsqlite3-dnssec=yes\nlocal-address=127.0.0.1\n"
        f"socket-dir={place}\nsetuid=\nsetgid=\nloglevel=3\n"
    )
    with contextlib.closing(sqlite3.connect(place / "db")) as database:
        database.executescript(_POWERDNS_SCHEMA.read_text())
        database.execute("INSERT INTO domains (id, name, type) VALUES (1, ?, 'NATIVE')", (ZONE,))
        database.commit()
        secured = subprocess.run(
            [tool, f"--config-dir={place}", "secure-zone", ZONE],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if secured.returncode:
            raise RuntimeError(f"pdnsutil secure-zone: {secured.stderr}")
        database.executemany(
            "INSERT INTO records (domain_id, name, type, content, ttl, ordername, auth) VALUES (1, ?, ?, ?, ?, ?, 1)",
            _powerdns_rows(names),
        )
        database.commit()
    return lambda port: [program, f"--config-dir={place}", f"--local-port={port}", "--daemon=no", "--guardian=no"]


def _powerdns_rows(names: int) -> Iterator[tuple[str, str | None, str | None, int | None, str | None]]:
    yield ZONE, "SOA", f"ns.{ZONE} hostmaster.{ZONE} 1 3600 600 86400 60", TTL, ""
    yield ZONE, "NS", f"ns.{ZONE}", TTL, ""
    yield f"ns.{ZONE}", "A", "127.0.0.1", TTL, "ns"
    yield f"_device.{ZONE}", None, None, None, None
    for number in range(names):
        # The order of NSEC: labels from the right, as `pdnsutil rectify-zone` writes them.
        ordered = " ".join(reversed(label(number).split(".")))
        yield f"{label(number)}.{ZONE}", "TLSA", data(number), TTL, ordered


def started(command: Command, place: Path) -> tuple[AbstractContextManager[MeasuredProcess], int]:
    """The process, not yet entered, and its port."""
    port = free_port()
    return MeasuredProcess(command(port), port=port, log=place / "server.log", datagram=True), port


def _span(first: int, names: int) -> range:
    return range(first, min(first + _ROWS, names))


def _found(program: str, *, package: str) -> str:
    found = shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/usr/local/sbin:/usr/local/bin")
    if found is None:
        raise PeerMissing(f"{program} is not installed (Debian package {package})")
    return found
