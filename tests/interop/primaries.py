"""Real primaries with signed zones that take updates, and secondaries of theirs: Knot DNS, BIND, PowerDNS, NSD.

Each is started on a loopback port of its own with its own directory and configuration, and ended by its id. The zones
hold an apex, a name server, and records of somebody else, which must outlive whatever a test does.
"""

import base64
import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import dns.name
import dns.query
import dns.rdatatype
import dns.tsig
import dns.zone

from dnsbound.dns.tsig import TsigKey
from interop.daemon import STARTS, Daemon, ask, free_port, program, run, started

ZONE: Final = "cars.example"
KEY: Final = TsigKey.parse(f"hmac-sha256:upd:{base64.b64encode(b'k' * 32).decode()}")
FOREIGN: Final = "3 1 1 " + "fe" * 32
"""A TLSA record at `foreign.ZONE` and at `shared.ZONE` that is not ours."""
TRANSFER_SECONDS: Final = 60.0
_POWERDNS_SCHEMA: Final = Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")

_CONTENT: Final = f"""$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 5
@ NS ns
ns A 127.0.0.1
foreign TLSA {FOREIGN}
shared TLSA {FOREIGN}
alias CNAME ns
"""


def key_line(key: TsigKey = KEY) -> str:
    """The content of a key file."""
    return f"{key.algorithm}:{key.name.to_text(omit_final_dot=True)}:{base64.b64encode(key.secret).decode()}\n"


def write_key(directory: Path, key: TsigKey = KEY, *, name: str = "tsig.key") -> Path:
    path = directory / name
    path.write_text(key_line(key))
    path.chmod(0o600)
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server. ds: trust anchors of its zones, as lines; empty for one that only copies."""

    port: int
    daemon: Daemon
    directory: Path
    zones: tuple[str, ...]
    ds: str = ""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def tlsa(self, name: str) -> set[str]:
        """What it answers, as text; the signature must come along."""
        response = ask(self.port, name, "TLSA")
        found = {rdata.to_text() for rrset in response.answer if rrset.rdtype == dns.rdatatype.TLSA for rdata in rrset}
        if found and self.ds:
            assert any(rrset.rdtype == dns.rdatatype.RRSIG for rrset in response.answer), response
        return found

    def transfer(self, zone: str = ZONE, *, key: TsigKey = KEY) -> dict[tuple[str, str], tuple[int, frozenset[str]]]:
        """The whole zone without what signing adds: (owner, type) to TTL and record data."""
        keyring = {key.name: dns.tsig.Key(key.name, key.secret, key.algorithm)}
        messages = dns.query.xfr(
            "127.0.0.1",
            zone,
            port=self.port,
            keyring=keyring,
            keyname=key.name,
            keyalgorithm=key.algorithm,
            relativize=False,
            timeout=TRANSFER_SECONDS,
        )
        content = dns.zone.from_xfr(messages, relativize=False)
        made = {"RRSIG", "NSEC", "NSEC3", "NSEC3PARAM", "DNSKEY", "CDS", "CDNSKEY", "SOA", "TYPE65534"}
        return {
            (name.to_text(omit_final_dot=True), dns.rdatatype.to_text(rdataset.rdtype)): (
                rdataset.ttl,
                frozenset(rdata.to_text() for rdata in rdataset),
            )
            for name, rdataset in content.iterate_rdatasets()
            if dns.rdatatype.to_text(rdataset.rdtype) not in made
        }


_KNOT: Final = """
server:
    rundir: "@DIRECTORY@"
    listen: 127.0.0.1@@PORT@
    tcp-max-clients: 500
    tcp-io-timeout: 30000
log:
  - target: stderr
    any: warning
database:
    storage: "@DIRECTORY@/db"
    journal-db-max-size: 1G
key:
  - id: upd.
    algorithm: @ALGORITHM@
    secret: @SECRET@
@REMOTES@acl:
  - id: updates
    address: 127.0.0.0/8
    key: upd.
    @ACL@
policy:
  - id: one-key
    algorithm: ecdsap256sha256
    single-type-signing: on
    @DENIAL@
template:
  - id: default
    storage: "@DIRECTORY@"
    file: "%s.zone"
    acl: updates
@ROLE@zone:
"""
_KNOT_PRIMARY: Final = """    dnssec-signing: on
    dnssec-policy: one-key
    journal-content: all
    zonefile-sync: -1
    zonefile-load: difference-no-serial
    serial-policy: increment
"""
_BIND: Final = """
key "upd" { algorithm @ALGORITHM@; secret "@SECRET@"; };
options {
    directory "@DIRECTORY@"; listen-on port @PORT@ { 127.0.0.1; }; listen-on-v6 { none; };
    pid-file "@DIRECTORY@/named.pid"; session-keyfile "@DIRECTORY@/session.key"; key-directory "@DIRECTORY@";
    managed-keys-directory "@DIRECTORY@"; lock-file none; recursion no; dnssec-validation no; empty-zones-enable no;
    allow-transfer { key upd; }; notify @NOTIFY@; also-notify { @TOLD@ };
};
controls { };
dnssec-policy "one" { keys { csk lifetime unlimited algorithm ecdsap256sha256; }; };
logging { channel said { stderr; severity info; }; category default { said; }; };
"""
_BIND_ZONE: Final = """
zone "@ZONE@" {
    type primary; file "@ZONE@.zone"; dnssec-policy "one"; inline-signing no; update-policy { @GRANT@ };
};
"""
_POWERDNS: Final = """
launch=gsqlite3
gsqlite3-database=@DIRECTORY@/db
gsqlite3-dnssec=yes
gsqlite3-pragma-synchronous=1
local-address=127.0.0.1
local-port=@PORT@
socket-dir=@DIRECTORY@
setuid=
setgid=
loglevel=4
dnsupdate=yes
allow-dnsupdate-from=127.0.0.0/8
allow-axfr-ips=127.0.0.0/8
default-soa-edit=INCEPTION-INCREMENT
primary=yes
only-notify=
also-notify=@TOLD@
webserver=yes
webserver-address=127.0.0.1
webserver-port=@API@
webserver-allow-from=127.0.0.0/8
api=yes
api-key=@API_KEY@
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
zone-metadata-cache-ttl=0
zone-cache-refresh-interval=0
"""
_NSD: Final = """
server:
    zonesdir: "@DIRECTORY@"
    zonelistfile: "@DIRECTORY@/zone.list"
    xfrdfile: "@DIRECTORY@/xfrd.state"
    xfrdir: "@DIRECTORY@"
    pidfile: ""
    database: ""
    username: ""
    chroot: ""
    server-count: 1
    ip-address: 127.0.0.1@@PORT@
    do-ip6: no
    verbosity: 1
remote-control:
    control-enable: yes
    control-interface: "@DIRECTORY@/control"
@ROLE@"""


@contextlib.contextmanager
def knot(
    directory: Path,
    *,
    zones: Sequence[str] = (ZONE,),
    notify: Sequence[int] = (),
    acl: str = "action: [update, transfer]",
    nsec3: bool = False,
    more: str = "",
    key: TsigKey = KEY,
) -> Iterator[Server]:
    """A Knot primary that signs with one ECDSA key. notify: loopback ports told of changes. acl: what the key may.
    nsec3: instead of NSEC. more: records of each zone beside the usual ones."""
    _write_zones(directory, zones, more)
    (directory / "db").mkdir(exist_ok=True)
    configuration = directory / "knot.conf"
    remotes, role = "", _KNOT_PRIMARY
    if notify:
        told = [f"  - id: told{port}\n    address: 127.0.0.1@{port}\n    key: upd.\n" for port in notify]
        remotes = "remote:\n" + "".join(told)
        role += f"    notify: [{', '.join(f'told{port}' for port in notify)}]\n"
    denial = "nsec3: on\n    nsec3-iterations: 0\n    nsec3-salt-length: 0" if nsec3 else "nsec3: off"
    text = _filled(_KNOT, directory, key, REMOTES=remotes, ACL=acl, ROLE=role, DENIAL=denial)
    text += "".join(f"  - domain: {zone}\n" for zone in zones)
    command = [program("knotd"), "-c", str(configuration)]
    with _served(configuration, text, command, partial(_signed, zones=zones)) as (daemon, port):
        ds = "".join(_output([program("keymgr"), "-c", str(configuration), zone, "ds"]) for zone in zones)
        yield Server(port=port, daemon=daemon, directory=directory, zones=tuple(zones), ds=ds)


@contextlib.contextmanager
def bind(
    directory: Path,
    *,
    zones: Sequence[str] = (ZONE,),
    notify: Sequence[int] = (),
    grant: str = "grant upd zonesub TLSA;",
    key: TsigKey = KEY,
) -> Iterator[Server]:
    """A BIND primary that signs with one ECDSA key. grant: its update policy."""
    _write_zones(directory, zones)
    configuration = directory / "named.conf"
    told = "".join(f"127.0.0.1 port {port} key upd; " for port in notify)
    text = _filled(_BIND, directory, key, NOTIFY="explicit" if notify else "no", TOLD=told)
    text += "".join(_BIND_ZONE.replace("@ZONE@", zone).replace("@GRANT@", grant) for zone in zones)
    command = [program("named"), "-f", "-c", str(configuration)]
    with _served(configuration, text, command, partial(_signed, zones=zones)) as (daemon, port):
        keys = sorted(directory.glob("K*.key"))
        ds = "".join(_output([program("dnssec-dsfromkey"), "-2", str(path)]) for path in keys)
        yield Server(port=port, daemon=daemon, directory=directory, zones=tuple(zones), ds=ds)


API_KEY: Final = "an-api-key-of-the-tests"


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerDns(Server):
    """api: the origin of its HTTP API."""

    api: str


@contextlib.contextmanager
def powerdns(
    directory: Path,
    *,
    zones: Sequence[str] = (ZONE,),
    notify: Sequence[int] = (),
    nsec3: Sequence[str] = (),
    key: TsigKey = KEY,
) -> Iterator[PowerDns]:
    """A PowerDNS primary on SQLite that signs each answer; its API and updates (RFC 2136) may change every type.
    nsec3: arguments of its `set-nsec3`, NSEC without."""
    _write_zones(directory, zones)
    configuration, api = directory / "pdns.conf", free_port()
    told = ",".join(f"127.0.0.1:{port}" for port in notify)
    text = _filled(_POWERDNS, directory, key, TOLD=told, API=str(api), API_KEY=API_KEY)
    configuration.write_text(text.replace("@PORT@", "53"))
    with contextlib.closing(sqlite3.connect(directory / "db")) as database:
        database.executescript(_POWERDNS_SCHEMA.read_text())
    tool = [program("pdnsutil"), f"--config-dir={directory}"]
    _output([*tool, "import-tsig-key", "upd", key.algorithm, _secret(key)])
    for zone in zones:
        _output([*tool, "load-zone", zone, str(directory / f"{zone}.zone")])
        _output([*tool, "set-kind", zone, "primary" if notify else "native"])
        _output([*tool, "secure-zone", zone])
        for right in ("TSIG-ALLOW-DNSUPDATE", "TSIG-ALLOW-AXFR"):
            _output([*tool, "set-meta", zone, right, "upd"])
        if nsec3:
            _output([*tool, "set-nsec3", zone, *nsec3])
        _output([*tool, "rectify-zone", zone])
    ds = "".join(_output([*tool, "export-zone-ds", zone]) for zone in zones)
    command = [program("pdns_server"), f"--config-dir={directory}", "--daemon=no", "--guardian=no"]
    with _served(configuration, text, command, partial(_signed, zones=zones)) as (daemon, port):
        origin = f"http://127.0.0.1:{api}"
        yield PowerDns(port=port, daemon=daemon, directory=directory, zones=tuple(zones), ds=ds, api=origin)


@contextlib.contextmanager
def nsd(directory: Path, *, zone: str = ZONE, text: str = _CONTENT) -> Iterator[Server]:
    """An NSD that serves a zone file, unsigned as it is: `ZONE.zone` in its directory, read again by `nsd_reload`."""
    (directory / f"{zone}.zone").write_text(text)
    role = f'zone:\n    name: "{zone}"\n    zonefile: "{zone}.zone"\n    provide-xfr: 127.0.0.0/8 NOKEY\n'
    with _nsd(directory, role, zone) as server:
        yield server


@contextlib.contextmanager
def nsd_secondary(
    directory: Path, primary_port: int, *, zone: str = ZONE, port: int | None = None, key: TsigKey = KEY
) -> Iterator[Server]:
    """An NSD that copies a zone from a primary on loopback. port: its own, where the primary must know it before."""
    role = (
        f"key:\n    name: upd\n    algorithm: {key.algorithm}\n    secret: {_secret(key)}\n"
        f'zone:\n    name: "{zone}"\n    zonefile: ""\n    allow-notify: 127.0.0.0/8 upd\n'
        f"    request-xfr: AXFR 127.0.0.1@{primary_port} upd\n"
    )
    with _nsd(directory, role, zone, port=port) as server:
        yield server


@contextlib.contextmanager
def _nsd(directory: Path, role: str, zone: str, *, port: int | None = None) -> Iterator[Server]:
    configuration = directory / "nsd.conf"
    text = _filled(_NSD, directory, KEY, ROLE=role)
    command = [program("nsd"), "-d", "-c", str(configuration)]
    with _served(configuration, text, command, partial(_loaded, zone=zone), port=port) as (daemon, found):
        yield Server(port=found, daemon=daemon, directory=directory, zones=(zone,))


def nsd_reload(server: Server) -> list[str]:
    """The command that has an NSD read its zone files again."""
    return [program("nsd-control"), "-c", str(server.directory / "nsd.conf"), "reload", server.zones[0]]


def _secret(key: TsigKey) -> str:
    return base64.b64encode(key.secret).decode()


def _output(command: Sequence[str]) -> str:
    done = run(command)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _write_zones(directory: Path, zones: Sequence[str], more: str = "") -> None:
    for zone in zones:
        (directory / f"{zone}.zone").write_text(_CONTENT + more)


def _filled(template: str, directory: Path, key: TsigKey, **parts: str) -> str:
    """The configuration but for the port, which is chosen at the last moment."""
    parts |= {"DIRECTORY": str(directory), "ALGORITHM": key.algorithm, "SECRET": _secret(key)}
    for word, text in parts.items():
        template = template.replace(f"@{word}@", text)
    return template


@contextlib.contextmanager
def _served(
    configuration: Path,
    text: str,
    command: Sequence[str],
    ready: Callable[[int], bool],
    *,
    port: int | None = None,
) -> Iterator[tuple[Daemon, int]]:
    """The server on a port, which another process may take first: then on another one, unless it was said."""
    complaints = []
    for _ in range(STARTS if port is None else 1):
        chosen = port or free_port()
        configuration.write_text(text.replace("@PORT@", str(chosen)))
        with started(command, configuration.with_suffix(".log")) as daemon:
            try:
                daemon.wait_for(partial(ready, chosen), f"{command[0]} is ready")
            except AssertionError as complaint:
                complaints.append(str(complaint))
                continue
            yield daemon, chosen
            return
    raise AssertionError(f"{command[0]} does not start: {complaints}")


def _signed(port: int, *, zones: Sequence[str]) -> bool:
    return all(len(ask(port, zone, "DNSKEY").answer) == 2 for zone in zones)


def _loaded(port: int, *, zone: str) -> bool:
    return bool(ask(port, zone, "SOA").answer)
