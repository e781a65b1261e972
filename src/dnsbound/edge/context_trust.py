"""Whom a Context trusts: files and directories of certificates, and certificates given as text or octets.

Nothing is judged here; what the engine cannot read is an error at once, not at the first connection.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509

from dnsbound._native import Config, TlsError
from dnsbound.credential import der
from dnsbound.credential.credential import certificates_from_pem
from dnsbound.errors import Malformed
from dnsbound.tls.errors import TLSMisuse, configuration_error


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustFile:
    """A file or directory of certificates, with what it was when it was named: a changed file is another one."""

    path: str
    is_directory: bool
    stamp: tuple[int, int, int]

    @classmethod
    def at(cls, path: str, *, is_directory: bool) -> "TrustFile":
        """Raises FileNotFoundError and its likes, as `ssl` does."""
        facts = Path(path).stat()
        return cls(path=path, is_directory=is_directory, stamp=(facts.st_ino, facts.st_mtime_ns, facts.st_size))

    def load_into(self, config: Config) -> None:
        try:
            if self.is_directory:
                config.load_verify_locations(None, self.path)
            else:
                config.load_verify_locations(self.path, None)
        except TlsError as error:
            raise configuration_error(error, f"certificates in {self.path}") from None


def certificates_of(cadata: Any) -> tuple[bytes, ...]:  # noqa: ANN401 (PEM text or DER octets)
    """DER certificates of PEM text, or of concatenated DER octets; TLSMisuse when there is none or one is damaged."""
    try:
        if isinstance(cadata, str):
            certificates = certificates_from_pem(cadata.encode("ascii"))
        else:
            certificates = tuple(_split_der(bytes(cadata)))
    except (Malformed, ValueError) as error:
        raise TLSMisuse(f"cadata holds no certificates: {error}") from None
    if not certificates:
        raise TLSMisuse("cadata holds no certificates")
    return certificates


def _split_der(octets: bytes) -> Iterable[bytes]:
    offset = 0
    while offset < len(octets):
        _, _, end = der.read_element(octets, offset, len(octets))
        x509.load_der_x509_certificate(octets[offset:end])
        yield octets[offset:end]
        offset = end
