"""A signer that is no key of this process, as far as the package can tell."""

from dataclasses import dataclass, field

from dnsbound.credential.credential import Credential, CredentialKind
from dnsbound.credential.keys import KeyAlgorithm, generate_private_key
from dnsbound.credential.signer import LocalSigner
from dnsbound.iana import SignatureScheme

NAME = "car54._device.cars.example"
NOW = 1_780_000_000.0


@dataclass
class Hardware:
    """Signs with a key it does not show, or raises what it was told to."""

    algorithm: KeyAlgorithm = KeyAlgorithm.P256
    needs_human: bool = False
    failure: BaseException | None = None
    asked: list[tuple[SignatureScheme, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._inside = LocalSigner(generate_private_key(self.algorithm))
        self.spki, self.schemes = self._inside.spki, self._inside.schemes

    def sign(self, message: bytes, scheme: SignatureScheme) -> bytes:
        self.asked.append((scheme, message))
        if self.failure is not None:
            raise self.failure
        return self._inside.sign(message, scheme)

    def credential(self, name: str = NAME, kind: CredentialKind = "x509", *, now: float = NOW) -> Credential:
        made = Credential.for_signer(name, self, now=now, kind=kind)
        self.asked.clear()
        return made
