"""Configuration of others' network-access programs: the files operators copy, with a test's own values in them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from dnsbound.credential.credential import Credential, certificates_to_pem

EXAMPLES: Final = Path(__file__).parents[2] / "examples" / "radius"
SERVER_NAME: Final = "radius.isp.example"
"""What EAP servers are called in the certificates that supplicants check."""


def example(name: str, values: Mapping[str, str]) -> str:
    """The text of `examples/radius/NAME` with these values in place of the ones that stand there."""
    text = (EXAMPLES / name).read_text()
    for shown, own in values.items():
        assert shown in text, f"{name} does not show {shown}"
        text = text.replace(shown, own)
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Pem:
    """A credential as two files: what it shows, leaf first, and its key (mode 0600, not encrypted)."""

    certificate: Path
    key: Path

    @classmethod
    def write(cls, directory: Path, name: str, credential: Credential) -> "Pem":
        assert credential.private_key is not None, "its key is elsewhere"
        key = credential.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return cls.write_pem(directory, name, certificates_to_pem(credential.chain), key)

    @classmethod
    def write_pem(cls, directory: Path, name: str, certificates: bytes, key: bytes) -> "Pem":
        """The same for certificates and keys of other makers."""
        pem = cls(certificate=directory / f"{name}.crt", key=directory / f"{name}.key")
        pem.certificate.write_bytes(certificates)
        pem.key.touch(0o600)
        pem.key.write_bytes(key)
        return pem

    @property
    def leaf(self) -> x509.Certificate:
        return x509.load_pem_x509_certificates(self.certificate.read_bytes())[0]
