"""EAP packets, fragments of EAP-TLS and identities, by themselves and in conversations with a server or peer of ours.

A conversation's input is packets, each behind two octets of length; a packet's identifier is set to what is awaited
unless its own is odd, so that mutations get past the first door. Seeds are honest conversations. The promise of a
conversation: nobody is judged, and no peer is content, by what the fuzzer changed; the randoms of every run are new, so
an honest flight recorded earlier proves nothing.
"""

import ssl
from collections.abc import Iterator
from functools import cache

from dnsbound.credential.credential import Credential
from dnsbound.edge.authenticator import Authenticator
from dnsbound.edge.context import Context
from dnsbound.edge.eap_connection import opened_eap_tls, served_eap_tls
from dnsbound.iana import EapCode, EapType
from dnsbound.protocols.eap import EapPacket, desired_methods, is_nak
from dnsbound.protocols.eap_peer import EapPeer, PeerDone, PeerReply
from dnsbound.protocols.eap_server import EapServer, Ignored, Judge, Rejected, Reply
from dnsbound.protocols.eap_tls_framing import Incoming, TlsFragment
from dnsbound.protocols.nai import Nai
from dnsbound.testing import World
from dnsbound.verify.access import AccessList
from dnsbound.verify.carried import CarriedChains
from fuzz.target import Target

NAME, HOST = "car54._device.cars.example", "radius.isp.example"
NOW = 1_790_000_000.0
IDENTITY = b"@cars.example"
PROFILES = ("ca13", "cid07")


@cache
def ends() -> tuple[Context, Context]:
    """A client, and a door that speaks both versions. Its authenticator is never asked."""
    chains = CarriedChains([NAME], anchors=World(clock=lambda: NOW).anchors)
    judge = Authenticator(
        AccessList.allowing("wifi", [NAME]), None, door="wifi", carried_chains=chains, danger_any_clock=True
    )
    far = Context.server(Credential.generate(HOST, now=NOW), authenticator=judge, profiles=PROFILES)
    own = Credential.generate(NAME, now=NOW)
    near = Context.client(own, profiles=PROFILES, clear_name_to=[HOST], danger_unverified_server=True)
    near.check_hostname = False
    near.verify_mode = ssl.CERT_NONE
    return near, far


def server() -> EapServer:
    return EapServer(lambda: served_eap_tls(ends()[1]), fragment_octets=1400)


def peer() -> EapPeer:
    return EapPeer(IDENTITY, lambda: opened_eap_tls(ends()[0], HOST), fragment_octets=1400)


def read_packet(octets: bytes) -> object:
    packet = EapPacket.from_wire(octets)
    if EapPacket.from_wire(packet.to_wire()) != packet:
        raise AssertionError("a packet that does not go round")
    return desired_methods(packet) if is_nak(packet) else packet


def packets() -> list[bytes]:
    naks = [bytes((2, 1, 0, 6, 3, 25)), bytes((2, 1, 0, 20, 254, 0, 0, 0, 0, 0, 0, 3, 254, 0, 0, 0, 0, 0, 0, 13))]
    return [EapPacket.response(1, EapType.IDENTITY, IDENTITY).to_wire(), *naks, bytes((3, 7, 0, 4)), *recorded()[0]]


def read_fragments(octets: bytes) -> object:
    """One message after another, from fragments behind their lengths."""
    incoming, kept = Incoming(), 0
    for piece in cut(octets):
        message = incoming.take(TlsFragment.from_wire(piece))
        kept += len(message or b"")
    if kept > len(octets):
        raise AssertionError("octets that nobody sent")
    return kept


def fragments() -> list[bytes]:
    announced = b"\xc0\x00\x00\x00\x06ab"
    return [joined([b"\x00abc", b"\x80\x00\x00\x00\x03abc"]), joined([announced, b"\x40cd", b"\x00ef"])]


def joined(pieces: list[bytes]) -> bytes:
    return b"".join(len(piece).to_bytes(2, "big") + piece for piece in pieces)


def cut(octets: bytes) -> Iterator[bytes]:
    while len(octets) >= 2:
        size = 2 + int.from_bytes(octets[:2], "big")
        yield octets[2:size]
        octets = octets[size:]


def awaited(eap: bytes, identifier: int) -> bytes:
    return eap if len(eap) < 2 or eap[1] & 1 else bytes((eap[0], identifier)) + eap[2:]


def serve(octets: bytes) -> object:
    made = server()
    identifier = made.begin().eap[1]
    for eap in cut(octets):
        outcome = made.receive(awaited(eap, identifier))
        if not isinstance(outcome, Reply | Rejected | Ignored):
            raise AssertionError(f"a recorded flight proved a key: {outcome}")  # noqa: TRY004 (a broken promise)
        identifier = outcome.eap[1] if isinstance(outcome, Reply) else identifier
    return made.stage


def join(octets: bytes) -> object:
    made = peer()
    identifier = 0
    for eap in cut(octets):
        identifier = (identifier + 1) & 0xFF
        outcome = made.receive(awaited(eap, identifier))
        if isinstance(outcome, PeerDone):
            raise AssertionError("a recorded flight let a peer in")  # noqa: TRY004 (a broken promise)
        identifier = outcome.eap[1] if isinstance(outcome, PeerReply) else identifier
    return made.stage


@cache
def recorded() -> tuple[list[bytes], list[bytes]]:
    """(responses, requests) of a conversation up to the verdict, with even identifiers."""
    far, near = server(), peer()
    outcome: object = far.begin()
    said: tuple[list[bytes], list[bytes]] = ([], [])
    while isinstance(outcome, Reply):
        said[1].append(outcome.eap)
        heard = near.receive(outcome.eap)
        assert isinstance(heard, PeerReply)
        said[0].append(heard.eap)
        outcome = far.receive(heard.eap)
    assert isinstance(outcome, Judge)
    said[1].append(EapPacket(code=EapCode.SUCCESS, identifier=0).to_wire())
    return [_even(eap) for eap in said[0]], [_even(eap) for eap in said[1]]


def _even(eap: bytes) -> bytes:
    return bytes((eap[0], 0)) + eap[2:]


def conversations(side: int) -> list[bytes]:
    said = recorded()[side]
    return [joined(said), joined(said[:2]), joined([*said, *said[1:]])]


EAP_TARGETS: dict[str, Target] = {
    "eap": Target(read_packet, packets),
    "eap-identity": Target(Nai.parse, lambda: [IDENTITY, b"fred@cars.example", NAME.encode()]),
    "eap-tls-fragments": Target(read_fragments, fragments),
    "eap-tls": Target(serve, lambda: conversations(0)),
    "eap-tls-peer": Target(join, lambda: conversations(1)),
}
