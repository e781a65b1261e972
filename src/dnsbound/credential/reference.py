"""The text form of a credential whose key is on a token: its name, where the key is, and what is shown of it.

    Client name: car54._device.cars.example
    Private key: pkcs11:token=cars;object=car54?pin-source=/etc/cars.pin
    -----BEGIN CERTIFICATE-----

The lines stand in the explanatory text RFC 7468 section 2 allows; a bare key is shown as a PUBLIC KEY block. There is
no secret in it, but who can change it says which shared library a program loads.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from dnsbound.credential.certificate_facts import spki_of
from dnsbound.credential.certificate_parsing import UNPARSABLE
from dnsbound.credential.credential import Credential, certificates_from_pem, certificates_to_pem, stated_name
from dnsbound.credential.keys import public_key_from_spki
from dnsbound.credential.pkcs11_uri import Pkcs11Uri
from dnsbound.credential.signer import Signer
from dnsbound.errors import Malformed, Misuse
from dnsbound.names import ClientName

_KEY_LINE: Final = re.compile(rb"^Private key: *(pkcs11:[!-~]*)[ \t]*\r?$", re.MULTILINE)
_FIRST_BLOCK: Final = b"-----BEGIN "
_PUBLIC_KEY: Final = re.compile(rb"-----BEGIN PUBLIC KEY-----[^-]*-----END PUBLIC KEY-----")


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialReference:
    """A credential but for its signer."""

    name: ClientName | None
    uri: Pkcs11Uri
    chain: tuple[bytes, ...] = ()
    """DER certificates, leaf first; empty for a bare key."""
    spki: bytes

    @classmethod
    def from_pem(cls, pem: bytes, *, name: ClientName | str | None = None) -> Self | None:
        """None when the text refers to no key on a token; Malformed when it does, and not as it should."""
        line = _KEY_LINE.search(pem.partition(_FIRST_BLOCK)[0])
        if line is None:
            return None
        chain = certificates_from_pem(pem)
        if isinstance(name, str):
            name = ClientName.parse(name)
        return cls(
            name=name or stated_name(pem, chain),
            uri=Pkcs11Uri.parse(line[1].decode("ascii")),
            chain=chain,
            spki=spki_of(chain[0]) if chain else _bare_key(pem),
        )

    @classmethod
    def of(cls, credential: Credential, uri: Pkcs11Uri) -> Self:
        return cls(name=credential.name, uri=uri, chain=credential.chain, spki=credential.spki)

    def to_pem(self) -> bytes:
        """`from_pem` reads it back."""
        name = b"" if self.name is None else b"Client name: " + self.name.to_wire() + b"\n"
        line = b"Private key: " + self.uri.to_text().encode("ascii") + b"\n"
        if self.chain:
            return name + line + certificates_to_pem(self.chain)
        shown = public_key_from_spki(self.spki).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return name + line + shown

    def completed(self, signer: Signer) -> Credential:
        """The credential; Misuse when the token's key is another than the one shown."""
        if signer.spki != self.spki:
            raise Misuse(f"{self.uri}: the key on the token is not the one of this credential")
        return Credential(self.name, None, self.chain, signer=signer)


def _bare_key(pem: bytes) -> bytes:
    block = _PUBLIC_KEY.search(pem)
    if block is None:
        raise Malformed("the text names a key on a token and shows neither its certificate nor its public key")
    try:
        return load_pem_public_key(block[0]).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except UNPARSABLE:
        raise Malformed("the public key does not parse") from None
