"""Contexts of this package joined in memory, with each other and with the standard library's."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from dnsbound.credential.credential import Credential, certificates_to_pem
from dnsbound.dns.answer import Provenance
from dnsbound.edge.context import Context
from dnsbound.errors import Reason, Refused, Undecided
from dnsbound.names import ClientName
from dnsbound.verify.claim import Claim
from dnsbound.verify.peer import VerifiedPeer, _attest
from machines.native_pairs import SERVER, Identity, authority, make_identity, server_identity

NAME = "car54._device.cars.example"
DOOR = "api"
Made = ssl.SSLObject | ssl.SSLSocket


def credential(name: str | None = NAME, **options: Any) -> Credential:
    """A client's credential with a self-signed certificate."""
    identity = make_identity(name or "nobody", **options)
    return Credential(None if name is None else ClientName.parse(name), identity.key, identity.chain)


def web_credential(identity: Identity | None = None) -> Credential:
    """The server's, which `authority` signed."""
    identity = identity or server_identity()
    return Credential(None, identity.key, identity.chain)


def evidence(
    claim: Claim, *, lasts: float = 300.0, at: float = 1000.0, expires: float | None = None, carried: bool = False
) -> VerifiedPeer:
    """What the engine would say of a claim that holds."""
    own = Credential.generate(claim.name, now=0)
    return _attest(
        name=claim.name,
        name_source=claim.name_source,
        door=claim.door,
        record=own.tlsa(),
        provenance=Provenance.CARRIED if carried else Provenance.PINNED,
        possession=claim.possession,
        grants={},
        verified_at=at,
        valid_until=at + lasts,
        chain_expires=expires,
    )


@dataclass
class Doorkeeper:
    """Judges by a function and remembers what it was asked."""

    judge: Callable[[Claim], VerifiedPeer] = evidence
    door: str = DOOR
    asked: list[Claim] = field(default_factory=list)
    turned: list[tuple[Reason, str]] = field(default_factory=list)

    def authenticate_blocking(self, claim: Claim) -> VerifiedPeer:
        self.asked.append(claim)
        return self.judge(claim)

    def turned_away(self, error: Refused | Undecided, *, source: str = "") -> None:
        self.turned.append((error.reason, source))

    async def authenticate(self, claim: Claim) -> VerifiedPeer:
        return self.authenticate_blocking(claim)


def refusing(reason: Reason) -> Callable[[Claim], VerifiedPeer]:
    def judge(_claim: Claim) -> VerifiedPeer:
        raise Refused(reason)

    return judge


def undecided(reason: Reason) -> Callable[[Claim], VerifiedPeer]:
    def judge(_claim: Claim) -> VerifiedPeer:
        raise Undecided(reason)

    return judge


def door(keeper: Doorkeeper | None = None, **options: Any) -> Context:
    return Context.server(web_credential(), authenticator=keeper or Doorkeeper(), **options)


def client(own: Credential | None = None, **options: Any) -> Context:
    context = Context.client(own, **options)
    context.load_verify_locations(cadata=authority().chain[0])
    return context


def stock_server(directory: Path, identity: Identity | None = None) -> ssl.SSLContext:
    """The standard library's, with a certificate that `authority` signed."""
    identity = identity or server_identity()
    key = identity.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file = directory / "server.pem"
    file.write_bytes(key + certificates_to_pem(identity.chain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def stock_client() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=authority().chain[0])
    return context


@dataclass
class Pair:
    """Two ends over memory BIOs."""

    near: Any
    far: Any
    to_near: ssl.MemoryBIO
    to_far: ssl.MemoryBIO

    @classmethod
    def of(cls, near: ssl.SSLContext, far: ssl.SSLContext, *, host: str = SERVER, session: Any = None) -> "Pair":
        to_near, to_far = ssl.MemoryBIO(), ssl.MemoryBIO()
        client_end = near.wrap_bio(to_near, to_far, server_hostname=host, session=session)
        if isinstance(far, Context) and far.is_door:
            server_end: Made = far.accept(to_far, to_near, source="192.0.2.54")
        else:
            server_end = far.wrap_bio(to_far, to_near, server_side=True)
        return cls(client_end, server_end, to_near, to_far)

    def shake(self) -> tuple[bool, bool]:
        """Let both ends go on until neither can; which of them are done. An error is raised from the end it is at."""
        done = [False, False]
        for _ in range(6):
            for index, end in enumerate((self.near, self.far)):
                try:
                    end.do_handshake()
                    done[index] = True
                except ssl.SSLWantReadError:
                    pass
        return done[0], done[1]

    def admit(self, **options: Any) -> VerifiedPeer:
        claim = self.far.pending_claim
        assert claim is not None
        peer = evidence(claim, **options)
        self.far.shim.admit(peer)
        self.far.do_handshake()
        return peer


def admitted(near: Context, far: Context, **options: Any) -> Pair:
    """Both ends open for application data."""
    pair = Pair.of(near, far, **options)
    assert pair.shake() == (True, False)
    pair.admit()
    return pair
