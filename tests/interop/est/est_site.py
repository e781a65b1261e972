"""An enrolment server on unmodified uvicorn, over real sockets, with World as the DNS its zones are published to."""

import base64
import http.client
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dnsbound import Context, Credential
from dnsbound.adapters.est import EnrolmentApplication
from dnsbound.adapters.est_door import DOOR, EnrolmentAuthenticator
from dnsbound.adapters.est_limits import EnrolmentLimits
from dnsbound.adapters.est_publication import ServersOfZones
from dnsbound.adapters.est_renewals import RollRenewals
from dnsbound.adapters.est_service import EnrolmentService
from dnsbound.credential.certificate_request import certificate_request
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.credential.keys import KeyAlgorithm, PrivateKey, generate_private_key
from dnsbound.names import ClientName
from dnsbound.provision.enrolment import est_messages as wire
from dnsbound.provision.entries import ZoneSettings
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publish.endpoint import Endpoint
from dnsbound.provision.publish.targets import Rfc2136Target
from dnsbound.testing.world import World
from interop.python_servers.running import uvicorn_server

CAR = ClientName.parse("car54._device.cars.example")
TRUCK = ClientName.parse("truck7._device.trucks.example")
SECONDS = 20.0
TTL = 1
"""Of records as World shows them."""
EMBEDDED = OwnerName.parse("cars.example")
ELSEWHERE = OwnerName.parse("trucks.example")
SETTINGS = ZoneSettings(
    name=EMBEDDED, nameservers=(OwnerName.parse("ns1.cars.example"),), rname=OwnerName.parse("ops.cars.example"), ttl=60
)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def certificates(self) -> tuple[bytes, ...]:
        return wire.certificates_of(wire.from_base64(self.body))


class Clock:
    """The time of World and of the server, which a test sets."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class Site:
    world: World
    inventory: Inventory
    clock: Clock
    authority: CertificateAuthority
    trust: ssl.SSLContext
    own: Credential
    """The server's."""
    port: int = 0
    options: dict[str, Any] = field(default_factory=dict)

    def token(self, name: ClientName = CAR, **given: Any) -> str:
        return self.inventory.permissions.issue_token(name, now=self.clock(), actor="operations", **given)[1]

    def client(self, credential: Credential | None = None, **options: Any) -> Context:
        context = Context.client(credential, **options)
        context.load_verify_locations(cadata=self.world.web_root_pem.decode())
        return context

    def ask(
        self,
        operation: str,
        body: bytes | None = None,
        *,
        context: ssl.SSLContext | None = None,
        basic: tuple[str, str] | None = None,
        connection: http.client.HTTPSConnection | None = None,
        **headers: str,
    ) -> Answer:
        sent = {"content-type": wire.PKCS10} if body is not None else {}
        if basic is not None:
            sent["authorization"] = wire.BasicCredentials(user=basic[0], password=basic[1]).to_text()
        sent |= {name.replace("_", "-"): text for name, text in headers.items()}
        mine = connection or self.connect(context)
        try:
            path = operation if operation.startswith("/") else f"{wire.PATH}/{operation}"
            mine.request("GET" if body is None else "POST", path, body=body, headers=sent)
            said = mine.getresponse()
            return Answer(said.status, {key.lower(): value for key, value in said.getheaders()}, said.read())
        finally:
            if connection is None:
                mine.close()

    def connect(self, context: ssl.SSLContext | None = None) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("localhost", self.port, context=context or self.trust, timeout=SECONDS)

    def enrol(self, key: PrivateKey, token: str, name: ClientName = CAR, **options: Any) -> Answer:
        body = wire.to_base64(certificate_request(key, name))
        return self.ask("simpleenroll", body, basic=(name.text, token), **options)

    def publish(self, name: ClientName) -> None:
        """What a publisher does: the DNS host shows what the inventory holds."""
        organisation = self.world.organisation(ELSEWHERE.text)
        records = self.inventory.identities.named(name).records
        if records:
            organisation.replace(name.text, *(f"TLSA {record.rdata}" for record in records), ttl=TTL)


def new_key(algorithm: KeyAlgorithm = KeyAlgorithm.P256) -> PrivateKey:
    return generate_private_key(algorithm)


def body_of(key: PrivateKey, name: ClientName = CAR, **given: Any) -> bytes:
    return base64.b64encode(certificate_request(key, name, **given))


@contextmanager
def est_site(
    world: World, tmp_path: Path, *, limits: EnrolmentLimits | None = None, labels: Any = None, **options: Any
) -> Iterator[Site]:
    """options: of the service. `cars.example` is a zone of the inventory, `trucks.example` one that World serves."""
    world.organisation(ELSEWHERE.text)
    clock = world.now
    assert isinstance(clock, Clock)
    target = Rfc2136Target(
        zone=ELSEWHERE,
        server=Endpoint.parse(str(world.authority_address)),
        key_file=tmp_path / "unused.key",
        servers=(Endpoint.parse(str(world.authority_address)),),
    )
    with Inventory.open(tmp_path / "inventory.db", create=True) as inventory:
        inventory.zones.create(SETTINGS, key_path=None, ds=(), now=clock(), actor="operations")
        resolver = world.resolver()
        door = EnrolmentAuthenticator(inventory, resolver, clock=clock)
        authority = CertificateAuthority.create("enrolment of the test", now=clock(), path_length=0)
        options.setdefault("renewals", RollRenewals(inventory, door=DOOR))
        service = EnrolmentService(inventory, issuer=authority, elsewhere=(ELSEWHERE,), clock=clock, **options)
        servers = ServersOfZones(inventory, {ELSEWHERE.text: target}, resolver)
        application = EnrolmentApplication(
            service,
            authenticator=door,
            publication=servers,
            limits=limits,
            labels=labels,
            retry_seconds=1,
            renewal_seconds=2,
            body_seconds=1,
        )
        own = world.web_credential("localhost")
        context = Context.server(
            own,
            authenticator=door,
            policy="optional",
            ask="always",
            claim_from=("extension",),
        )
        trust = ssl.create_default_context(cadata=world.web_root_pem.decode())
        site = Site(world, inventory, clock, authority, trust, own)
        with uvicorn_server("asyncio", application.asgi(), context) as site.port:
            yield site
        world.organisation(ELSEWHERE.text).remove(TRUCK.text)
