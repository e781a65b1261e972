"""A RADIUS service without sockets, and an access server of the test's own that carries EAP to it, packet by packet."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dnsbound.credential.credential import Credential
from dnsbound.edge.access_file import AccessFile
from dnsbound.edge.context import Context
from dnsbound.edge.credential_files import load_credential
from dnsbound.edge.eap_connection import opened_eap_tls
from dnsbound.edge.radius_audit import AccessEvent
from dnsbound.edge.radius_clients import RadiusOrigin, RadiusTransport
from dnsbound.edge.radius_networks import RadiusNetworks
from dnsbound.edge.radius_service import RadiusService
from dnsbound.iana import RadiusAttribute, RadiusCode
from dnsbound.protocols.eap import EapPacket
from dnsbound.protocols.eap_peer import EapPeer, PeerOutcome, PeerReply
from dnsbound.protocols.radius import RadiusPacket, read_answer, request_of, split_eap_message
from dnsbound.protocols.radius_attributes import Attributes
from dnsbound.testing.world import World
from dnsbound.tls.session import Session
from interop.radius_examples import SERVER_NAME
from interop.radius_server import SECRET, radius_files

STATION = b"02-00-00-00-00-54"
PUBLIC = b"02-00-00-00-00-01:public"
STAFF = b"02-00-00-00-00-01:staff"
ASK = EapPacket.request(0, 1).to_wire()
"""EAP-Request/Identity, with which an access point begins."""


@dataclass(kw_only=True)
class Served:
    """A service, and the events of its authentications."""

    world: World
    service: RadiusService
    networks: RadiusNetworks
    events: list[AccessEvent] = field(default_factory=list)

    @property
    def dropped(self) -> dict[str, int]:
        return dict(self.service.counters.dropped)

    def origin(self, **different: Any) -> RadiusOrigin:
        """Where packets come from: the client `nas`, unless something else is said."""
        clients = self.service.configuration.clients
        said = {"transport": RadiusTransport.UDP, "address": "127.0.0.1", "port": 40_000, "client": clients["nas"]}
        return RadiusOrigin(**{**said, **different})

    def nas(self, **options: Any) -> "AccessServer":
        return AccessServer(self, self.origin(**options.pop("origin", {})), **options)


@contextmanager
def served(directory: Path, world: World, *, own: Credential | None = None, **options: Any) -> Iterator[Served]:
    """The service of `radius_files`. options: of those, and of `RadiusService`."""
    files = {key: options.pop(key) for key in ("settings", "clients", "networks", "access") if key in options}
    configuration = radius_files(directory, world, **files)
    networks = RadiusNetworks(
        configuration,
        own or load_credential(configuration.server.credential),
        world.resolver(),
        access=AccessFile(configuration.server.access),
        clock=world.now,
    )
    events: list[AccessEvent] = []
    service = RadiusService(configuration, networks, on_event=events.append, clock=world.now, **options)
    yield Served(world=world, service=service, networks=networks, events=events)


def supplicant(
    world: World,
    own: Credential,
    *,
    version: str = "TLSv1.3",
    identity: bytes = b"@cars.example",
    session: Session | None = None,
    context: Context | None = None,
    **options: Any,
) -> EapPeer:
    """Our own peer, which says its name. options: of `EapPeer`."""
    made = context or supplicant_context(world, own, version=version)
    return EapPeer(identity, lambda: opened_eap_tls(made, SERVER_NAME, session=session), **options)


def supplicant_context(world: World, own: Credential, *, version: str = "TLSv1.3") -> Context:
    if version == "TLSv1.3":
        context = Context.client(own)
    else:
        context = Context.client(own, profiles=["cid07"], clear_name_to=[SERVER_NAME])
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=world.web_root_pem.decode())
    return context


@dataclass(kw_only=True)
class Ended:
    """How an authentication ended. answer: the last packet, None where nothing came; request: what it answers."""

    answer: RadiusPacket | None
    request: bytes
    heard: PeerOutcome | None

    @property
    def code(self) -> RadiusCode | None:
        return None if self.answer is None else self.answer.code


class AccessServer:
    """A NAS: it sends Access-Requests about one station and checks the answers. secret: what it shares."""

    def __init__(
        self,
        served: Served,
        origin: RadiusOrigin,
        *,
        secret: bytes = SECRET.encode(),
        station: bytes = STATION,
        called: bytes = PUBLIC,
        more: Attributes = (),
    ) -> None:
        self.served = served
        self.origin = origin
        self.secret = secret
        self.station = station
        self.called = called
        self.more = more
        self.user_name = b"@cars.example"
        self.state: bytes | None = None
        self.sent = b""
        self.identifier = 0

    def request(self, eap: bytes | None, *, code: RadiusCode = RadiusCode.ACCESS_REQUEST) -> bytes:
        """The next request on the wire."""
        attributes: Attributes = (
            (RadiusAttribute.USER_NAME, self.user_name),
            (RadiusAttribute.CALLING_STATION_ID, self.station),
            (RadiusAttribute.CALLED_STATION_ID, self.called),
            *self.more,
        )
        if eap is not None:
            attributes += split_eap_message(eap)
        if self.state is not None:
            attributes += ((RadiusAttribute.STATE, self.state),)
        self.identifier = (self.identifier + 1) & 0xFF
        return request_of(code, self.identifier, attributes, self.secret, authenticator=os.urandom(16))

    async def send(self, eap: bytes | None) -> RadiusPacket | None:
        """One request, and its answer, which is checked; the conversation's State is kept."""
        self.sent = self.request(eap)
        octets = await self.served.service.answer(self.sent, self.origin)
        if octets is None:
            return None
        answer = read_answer(octets, self.sent, self.secret)
        self.state = answer.first(RadiusAttribute.STATE)
        return answer

    async def authenticate(self, peer: EapPeer, *, stop_after: int = 10_000) -> Ended:
        """Carry the conversation to its end, or until the station has answered so many requests."""
        self.state = None
        heard = peer.receive(ASK)
        answer = None
        for _ in range(stop_after):
            assert isinstance(heard, PeerReply), heard
            answer = await self.send(heard.eap)
            if answer is None:
                return Ended(answer=None, request=self.sent, heard=None)
            eap = answer.eap_message
            heard = peer.receive(eap) if eap else heard
            if answer.code is not RadiusCode.ACCESS_CHALLENGE:
                break
        return Ended(answer=answer, request=self.sent, heard=heard)


def value(packet: RadiusPacket | None, attribute: RadiusAttribute) -> int | None:
    """Of an attribute that is a number."""
    assert packet is not None
    octets = packet.first(attribute)
    return None if octets is None else int.from_bytes(octets, "big")
