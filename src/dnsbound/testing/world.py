"""World: a signed miniature Internet in one process.

    with World() as world:
        cars = world.organisation("cars.example")
        car = cars.device("car54")                 # car54._device.cars.example, published as 3 1 1
        resolver = world.resolver()                # validates from World's own root
        ...
        car.revoke()                               # gone at the next query

World has a root, top-level domains, any number of organisations with zones and keys of their own, a resolver that
answers for all of them, an authority that an iterating resolver may ask, and a certificate authority for web servers.
It runs on a thread and an event loop of its own, listens on free loopback ports only, and never touches the process
clock, the system's resolver configuration or the network beyond the loopback interface.
"""

from __future__ import annotations

import contextlib
import ssl
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import dns.name
import dns.rdatatype
from dns.dnssectypes import Algorithm

from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.authority import Transport
from dnsbound.dns.authority_zone import MemoryDirectory, RRsets, enclosing_zone
from dnsbound.dns.chain_building import BuiltChain, ChainBuilding
from dnsbound.dns.validator import validate
from dnsbound.edge.dns_server import DnsServer, Endpoint
from dnsbound.errors import Misuse
from dnsbound.testing.background_loop import BackgroundLoop
from dnsbound.testing.faces import AuthorityFace, ResolverFace
from dnsbound.testing.faults import Fault, FaultSet, FaultTable, FaultySigner
from dnsbound.testing.organisation import Organisation, Record, name_of, rdata_of
from dnsbound.testing.query_log import Query, QueryLog
from dnsbound.testing.web_authority import WebAuthority

if TYPE_CHECKING:
    from collections.abc import Callable

    from dnsbound.credential.credential import Credential
    from dnsbound.edge.resolver import Resolver
    from dnsbound.edge.upstream import Upstream
    from dnsbound.times import Moment

RESOLVER_NAME: Final = "resolver.world.test"
"""What World's resolver is called in its DNS over TLS certificate."""
_DS_TTL: Final = 3600
_LYING_TTL: Final = 300


class World:
    """See the module. Enter it to open its network faces; everything else works before as well.

    clock: what dates signatures and certificates; seconds since 1970. validity: seconds an online signature lives.
    resolver_port, resolver_tls_port, authority_port: where to listen on 127.0.0.1; 0 takes free ones.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], Moment] = time.time,
        validity: int | None = None,
        resolver_port: int = 0,
        resolver_tls_port: int = 0,
        authority_port: int = 0,
    ) -> None:
        self.now: Final = clock
        self._ports = (resolver_port, resolver_tls_port, authority_port)
        self.zones: Final = MemoryDirectory()
        self.queries: Final = QueryLog()
        self._table = FaultTable()
        self._validity = validity
        self._signer = FaultySigner(self._table, validity=validity)
        self._organisations: dict[dns.name.Name, Organisation] = {}
        self._lock = threading.RLock()
        self._web = WebAuthority("World web authority", now=clock())
        self._cleanup = contextlib.ExitStack()
        self._files = contextlib.ExitStack()
        self._resolver_server: DnsServer | None = None
        self._authority_server: DnsServer | None = None
        self._directory: Path | None = None
        self._root = self._make(dns.name.root, signed=True, algorithm=Algorithm.ECDSAP256SHA256)

    # Zones

    def organisation(
        self, name: str, *, signed: bool = True, algorithm: Algorithm = Algorithm.ECDSAP256SHA256
    ) -> Organisation:
        """The organisation of this zone name; made, with the zones above it, when it is not there yet.

        signed: False makes an insecure delegation. algorithm: 13 or 15.
        """
        origin = name_of(name)
        with self._lock:
            known = self._organisations.get(origin)
            if known is not None:
                if (known.keys is not None) != signed:
                    raise Misuse(f"{name} is there already, {'signed' if known.keys else 'not signed'}")
                return known
            if len(origin) > 2 and enclosing_zone(self.zones, origin) is self.zones.find(dns.name.root):
                self._make(origin.split(2)[1], signed=True, algorithm=Algorithm.ECDSAP256SHA256)
            return self._make(origin, signed=signed, algorithm=algorithm)

    @property
    def root(self) -> Organisation:
        """The root zone."""
        return self._root

    def publish_ds(self, organisation: Organisation) -> None:
        """Let the zone above show the DS of an organisation's present keys."""
        parent = self._parent(organisation.origin)
        if parent is None:
            return
        if organisation.keys is None:
            parent.data.remove(organisation.origin, dns.rdatatype.DS)
        else:
            parent.data.replace(organisation.origin, _DS_TTL, organisation.keys.ds())

    def _make(self, origin: dns.name.Name, *, signed: bool, algorithm: Algorithm) -> Organisation:
        organisation = Organisation(self, origin, signed=signed, algorithm=algorithm)
        self._organisations[origin] = organisation
        parent = self._parent(origin)
        if parent is not None:
            server = dns.name.from_text("ns", origin)
            parent.data.replace(origin, _DS_TTL, [rdata_of(f"NS {server}")])
            parent.data.replace(server, _DS_TTL, [rdata_of("A 127.0.0.1")])
            self.publish_ds(organisation)
        return organisation

    def _parent(self, origin: dns.name.Name) -> Organisation | None:
        while origin != dns.name.root:
            origin = origin.parent()
            if origin in self._organisations:
                return self._organisations[origin]
        return None

    # Faults

    def fault(
        self,
        name: str,
        fault: Fault,
        *,
        seconds: float = 0.0,
        records: tuple[Record, ...] = (),
        whole_zone: bool = False,
    ) -> None:
        """Break what is said of one name, or with whole_zone of every name in the zone of that name, until `heal`.

        seconds: how late, for Fault.SLOW. records: what Fault.LYING tells in place of the truth.
        """
        owner = name_of(name)
        instead: RRsets | None = None
        if fault in (Fault.REPLAYED, Fault.REPLAYED_IN_TIME):
            zone = enclosing_zone(self.zones, owner)
            instead = zone.data.lookup(owner) if zone is not None else None
            if not instead:
                raise Misuse(f"{name} has no records that could be replayed")
        elif records:
            instead = _rrsets(records)
        with self._lock:
            table = self._table.zones if whole_zone else self._table.names
            table[owner] = FaultSet(fault, seconds, instead)

    def heal(self, name: str | None = None) -> None:
        """End the faults of a name and of the zone of that name; all of them without a name."""
        with self._lock:
            if name is None:
                self._table.names.clear()
                self._table.zones.clear()
            else:
                self._table.clear(name_of(name))

    # What arrived

    def queries_for(self, name: str) -> tuple[Query, ...]:
        """The queries for exactly this name."""
        wanted = name_of(name).to_text(omit_final_dot=True).lower()
        return tuple(query for query in self.queries if query.name == wanted)

    # Trust

    @property
    def anchors(self) -> TrustAnchors:
        """World's root as the only anchor."""
        return TrustAnchors.from_text(self.anchors_text)

    @property
    def anchors_text(self) -> str:
        """The same as zone file text: DS records of the root."""
        if self._root.keys is None:
            raise Misuse("World's root is signed")
        return "".join(f". {_DS_TTL} IN DS {ds}\n" for ds in self._root.keys.ds())

    def web_credential(self, *names: str, now: Moment | None = None) -> Credential:
        """Key and certificate of a web server with these host names and addresses, under World's web authority."""
        return self._web.issue(*names, now=now)

    @property
    def web_root_pem(self) -> bytes:
        """The certificate that verifies World's web servers."""
        return self._web.root_pem

    @property
    def directory(self) -> Path:
        """A directory of World's own with `anchors.txt` and `web-root.pem`; removed when World is left."""
        if self._directory is None:
            self._directory = Path(self._files.enter_context(tempfile.TemporaryDirectory(prefix="world-")))
            (self._directory / "anchors.txt").write_text(self.anchors_text)
            (self._directory / "web-root.pem").write_bytes(self.web_root_pem)
        return self._directory

    def trust_env(self) -> dict[str, str]:
        """Environment variables that make child processes trust World and ask it."""
        web_root = str(self.directory / "web-root.pem")
        return {
            "SSL_CERT_FILE": web_root,
            "CURL_CA_BUNDLE": web_root,
            "REQUESTS_CA_BUNDLE": web_root,
            "DNSBOUND_RESOLVER": str(self.resolver_address),
            "DNSBOUND_ANCHORS": str(self.directory / "anchors.txt"),
        }

    def chain(
        self, name: str, rdtype: str = "TLSA", *, at: Moment | None = None, validity: int | None = None
    ) -> BuiltChain:
        """The DNSSEC chain of a name, as its zones would show it at that moment; no network is needed.

        at: seconds since 1970, World's clock by default. validity: seconds its signatures live, World's by default.
        Raises Undecided where faults leave nothing that validates.
        """
        now = self.now() if at is None else at
        signer = FaultySigner(self._table, validity=self._validity if validity is None else validity)
        face = ResolverFace(self.zones, signer, self._table, self.queries, anchors=lambda: self.anchors)
        building = ChainBuilding(name_of(name), dns.rdatatype.from_text(rdtype), anchors=self.anchors, now=now)
        validate(building, lambda asked: face.look_up(asked, now))
        return building.chain()

    # The network

    def resolver(self, *, transport: Transport = Transport.UDP, **options: Any) -> Resolver:  # noqa: ANN401 (the options are the Resolver's own)
        """A Resolver that asks World's resolver and validates from World's root; closed when World is left.

        transport: UDP (with TCP where answers are truncated), or TLS under World's web authority.
        """
        from dnsbound.edge.resolver import Resolver

        options.setdefault("anchors", self.anchors)
        options.setdefault("clock", self.now)
        resolver = Resolver([self.upstream(transport)], **options)
        self._cleanup.callback(resolver.close)
        return resolver

    def upstream(self, transport: Transport = Transport.UDP) -> Upstream:
        """World's resolver as a Resolver is told of it."""
        from dnsbound.edge.upstream import Upstream

        if transport is Transport.TLS:
            text = f"tls://{self.resolver_tls_address}#{RESOLVER_NAME}"
            return Upstream.parse(text, ca_file=self.directory / "web-root.pem")
        return Upstream.parse(str(self.resolver_address))

    @property
    def resolver_address(self) -> Endpoint:
        """World's resolver over UDP and TCP."""
        return self._running(self._resolver_server).endpoint

    @property
    def resolver_tls_address(self) -> Endpoint:
        """World's resolver over DNS over TLS, as RESOLVER_NAME, under World's web authority."""
        return self._running(self._resolver_server).tls_endpoint

    @property
    def authority_address(self) -> Endpoint:
        """Where all zones are served authoritatively, over UDP and TCP."""
        return self._running(self._authority_server).endpoint

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opening:
            opening.callback(self._forget_files)
            loop = opening.enter_context(BackgroundLoop("world"))
            opening.callback(lambda: loop.run(self._close()))
            loop.run(self._open())
            self._cleanup.push(opening.pop_all())
        return self

    def __exit__(self, *_exc: object) -> None:
        self._cleanup.close()

    def _forget_files(self) -> None:
        self._files.close()
        self._directory = None

    async def _open(self) -> None:
        shared = (self.zones, self._signer, self._table, self.queries)
        resolver_port, tls_port, authority_port = self._ports
        self._authority_server = DnsServer(AuthorityFace(*shared), port=authority_port, clock=self.now)
        self._resolver_server = DnsServer(
            ResolverFace(*shared, anchors=lambda: self.anchors),
            port=resolver_port,
            tls=self._tls_context(),
            tls_port=tls_port,
            clock=self.now,
        )
        await self._authority_server.start()
        await self._resolver_server.start()

    async def _close(self) -> None:
        for server in (self._resolver_server, self._authority_server):
            if server is not None:
                await server.stop()

    def _tls_context(self) -> ssl.SSLContext:
        credential = self.web_credential(RESOLVER_NAME, "127.0.0.1")
        file = self.directory / "resolver.pem"
        file.touch(0o600)
        file.write_bytes(credential.to_pem())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(file)
        return context

    @staticmethod
    def _running(server: DnsServer | None) -> DnsServer:
        if server is None:
            raise Misuse("World's network is closed: enter it with `with`")
        return server


def _rrsets(records: tuple[Record, ...]) -> RRsets:
    made: dict[dns.rdatatype.RdataType, Any] = {}
    for rdata in map(rdata_of, records):
        made.setdefault(rdata.rdtype, []).append(rdata)
    return {rdtype: dns.rdataset.from_rdata_list(_LYING_TTL, rdatas) for rdtype, rdatas in made.items()}
