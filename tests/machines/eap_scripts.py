"""One end of an EAP-TLS conversation that says what a test tells it to, over a TLS connection that is real."""

import contextlib
import ssl
from typing import Any

from dnsbound.edge.context import Context
from dnsbound.edge.eap_connection import opened_eap_tls, served_eap_tls
from dnsbound.iana import EapCode, EapType
from dnsbound.protocols.eap import EapPacket
from dnsbound.protocols.eap_peer import EapPeer, PeerOutcome, PeerReply
from dnsbound.protocols.eap_tls_framing import BEGIN, TlsFragment
from machines.eap_pairs import IDENTITY, tls_of
from machines.native_pairs import SERVER
from machines.shim_pairs import evidence

WHOLE = 3000
"""Octets of a packet that holds every flight of these tests in one."""


class ScriptedServer:
    """Meets a peer of ours; nothing is sent but by the test."""

    def __init__(self, near: Context, far: Context) -> None:
        self.tls = served_eap_tls(far)
        self.peer = EapPeer(IDENTITY, lambda: opened_eap_tls(near, SERVER), fragment_octets=WHOLE)
        self.identifier = 0

    def ask(self, kind: int, data: bytes = b"") -> PeerOutcome:
        """A request, and what the peer makes of it."""
        self.identifier += 1
        return self.peer.receive(EapPacket.request(self.identifier, kind, data).to_wire())

    def say(self, octets: bytes) -> PeerOutcome:
        """Octets of TLS; what the peer answers is fed to this end's connection."""
        outcome = self.ask(EapType.TLS, TlsFragment(data=octets).to_wire())
        if isinstance(outcome, PeerReply):
            self.tls.transport.feed(tls_of(outcome.eap).data)
        return outcome

    def end(self, code: EapCode) -> PeerOutcome:
        return self.peer.receive(EapPacket(code=code, identifier=self.identifier).to_wire())

    def handshake(self) -> None:
        """Up to the peer's Finished; the verdict is awaited."""
        outcome = self.ask(EapType.TLS, BEGIN.to_wire())
        assert isinstance(outcome, PeerReply)
        self.tls.transport.feed(tls_of(outcome.eap).data)
        self._go_on()
        self.say(self.tls.transport.take())
        self._go_on()

    def _go_on(self) -> None:
        try:
            self.tls.shim.do_handshake()
        except ssl.SSLWantReadError:
            return
        raise AssertionError("no verdict was awaited")

    def admit(self) -> bytes:
        """What a door sends after the verdict: in TLS 1.3 a ticket or nothing, in TLS 1.2 the held flight."""
        claim = self.tls.shim.pending_claim
        assert claim is not None
        self.tls.shim.admit(evidence(claim))
        self.tls.shim.do_handshake()
        return self.tls.transport.take()

    def sealed(self, data: bytes) -> bytes:
        """Application data."""
        self.tls.shim.write(data)
        return self.tls.transport.take()


class ScriptedPeer:
    """Meets a server of ours; nothing is sent but by the test."""

    def __init__(self, near: Context, server: Any) -> None:
        self.tls = opened_eap_tls(near, SERVER)
        self.server = server
        self.identifier = 0

    def heard(self, outcome: Any) -> Any:
        """A reply is remembered and fed to this end's connection."""
        eap = getattr(outcome, "eap", None)
        if eap is not None:
            packet = EapPacket.from_wire(eap)
            self.identifier = packet.identifier
            if packet.type == EapType.TLS and (data := tls_of(eap).data):
                self.tls.transport.feed(data)
        return outcome

    def answer(self, kind: int, data: bytes = b"") -> Any:
        return self.heard(self.server.receive(EapPacket.response(self.identifier, kind, data).to_wire()))

    def fragment(self, fragment: TlsFragment) -> Any:
        return self.answer(EapType.TLS, fragment.to_wire())

    def say(self, octets: bytes) -> Any:
        return self.fragment(TlsFragment(data=octets))

    def begin(self) -> Any:
        """Up to the start of EAP-TLS."""
        self.heard(self.server.begin())
        return self.answer(EapType.IDENTITY, IDENTITY)

    def flight(self) -> bytes:
        """The next flight of an honest client."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.shim.do_handshake()
        return self.tls.transport.take()
