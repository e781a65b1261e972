"""What every form of signed object parses to, and what is known of one that was verified.

A `SignedObject` is what somebody says: nothing of it may be used. A `VerifiedObject` is made by `ObjectVerifier`
(`dnsbound.edge.object_verifier`) alone, and says by its `name` who signed: a payload without its signer's name proves
nothing to anybody.
"""

from collections.abc import Callable
from dataclasses import InitVar, dataclass, field
from hashlib import sha256
from typing import Any, Final

from dnsbound.credential.keys import PublicKey
from dnsbound.credential.presented import Presented
from dnsbound.errors import Misuse
from dnsbound.names import ClientName
from dnsbound.times import Moment
from dnsbound.verify.claim import Claim, NameSource, Proved, Signed
from dnsbound.verify.peer import VerifiedPeer

_SEAL: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedObject:
    """A signed object that parses. Nothing of it is trusted."""

    name: ClientName
    """Who is said to have signed."""
    form: str
    """Such as `JWS`, `COSE_Sign1`, `CMS`, `HTTP signature`, `SSHSIG`: for logs."""
    algorithm: str
    """In the words of the form."""
    presented: Presented
    """The key or certificates it brings along; empty when the key is to come from the DNS (`3 1 0`, `3 0 0`)."""
    check: Callable[[PublicKey], None] = field(repr=False)
    """Raises BadSignature unless the algorithm fits the key and the signature is the key's."""
    payload: bytes | None = field(repr=False)
    """What is signed; None where it does not travel in the object."""
    content: Any = field(default=None, repr=False)
    """What else the form says, such as the protected header; of a type of the form's own."""

    def claim(self, *, door: str, source: str = "", carried_chain: bytes | None = None) -> Claim:
        """For the engine."""
        by = f"{self.form} {self.algorithm}"
        return Claim(
            name=self.name,
            name_source=NameSource.STATED,
            presented=self.presented,
            possession=Signed(by, self.check),
            door=door,
            source=source,
            carried_chain=carried_chain,
            protocol=self.form,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedObject:
    """A signed object, and the evidence for who signed it. There is no public way to make one."""

    peer: VerifiedPeer
    """Name, matching record, grants, and until when the evidence may be used."""
    signed: SignedObject
    seal: InitVar[object] = None

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise Misuse("a VerifiedObject comes from an ObjectVerifier, by verifying a signed object")

    @property
    def name(self) -> ClientName:
        """Who signed."""
        return self.peer.name

    @property
    def spki_sha256(self) -> bytes:
        """Of the DER SubjectPublicKeyInfo of the key that signed."""
        assert isinstance(self.peer.possession, Proved)
        return sha256(self.peer.possession.spki).digest()

    @property
    def payload(self) -> bytes:
        """What was signed. Misuse where it was never in the object, and was verified where it lies."""
        if self.signed.payload is None:
            raise Misuse("the object's payload is detached: what was verified is the octets that were given with it")
        return self.signed.payload

    @property
    def content(self) -> Any:  # noqa: ANN401 (of a type of the form's own)
        """As `SignedObject.content`; signed as well."""
        return self.signed.content

    @property
    def algorithm(self) -> str:
        return self.signed.algorithm

    @property
    def verified_at(self) -> Moment:
        return self.peer.verified_at


def _attest_object(peer: VerifiedPeer, signed: SignedObject) -> VerifiedObject:
    """Make the evidence. Called in edge/object_verifier.py and nowhere else; a test counts the callers."""
    return VerifiedObject(peer=peer, signed=signed, seal=_SEAL)
