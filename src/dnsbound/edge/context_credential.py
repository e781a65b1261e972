"""What an end of a connection presents, in the form the engine takes it: of a Credential, or of PEM files as Python's
`ssl` names them.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

from dnsbound.credential.credential import certificates_from_pem
from dnsbound.credential.keys import private_key_from_pem, private_key_to_der
from dnsbound.credential.signer import LocalSigner, Signer
from dnsbound.edge.context_settings import OwnCredential
from dnsbound.errors import Malformed, Misuse
from dnsbound.iana import CertificateType
from dnsbound.names import ClientName
from dnsbound.tls.errors import TLSMisuse

Password: TypeAlias = str | bytes | bytearray | Callable[[], str | bytes | bytearray] | None

_PRIVATE_KEY: Final = re.compile(
    rb"-----BEGIN ([A-Z ]*)PRIVATE KEY-----[^-]*(?:-[^-][^-]*)*-----END \1PRIVATE KEY-----", re.DOTALL
)


class SigningCredential(Protocol):
    """A name, certificates, and a key that signs for them: what is needed of a `dnsbound.Credential` to show it."""

    @property
    def name(self) -> ClientName | None: ...

    @property
    def chain(self) -> tuple[bytes, ...]: ...

    @property
    def signer(self) -> Signer: ...


class CredentialLike(SigningCredential, Protocol):
    """What a Context needs of one: a key of this process goes into the engine."""

    def private_key_der(self) -> bytes: ...


def own_credential(credential: CredentialLike) -> OwnCredential:
    signer = credential.signer
    # A key of this process signs in the engine itself, without the way through Python.
    key = credential.private_key_der() if isinstance(signer, LocalSigner) else signer
    return OwnCredential(chain=tuple(credential.chain), key=key)


def presented_by(credential: CredentialLike, name: ClientName | None, *, raw: bool | None) -> dict[str, Any]:
    """Changes to the EngineSettings of a client that shows this. raw: a bare key (RFC 7250); None leaves it to whether
    there are certificates."""
    own = own_credential(credential)
    raw = not own.chain if raw is None else raw
    if not own.chain and not raw:
        raise TLSMisuse("the credential is a bare key: raw_public_key cannot be False")
    if raw and name is None:
        raise TLSMisuse("a raw public key says no name: give the credential or the Context one")
    own_types = (CertificateType.RAW_PUBLIC_KEY,) if raw else (CertificateType.X509,)
    # FL-07: an offer that a person might have to keep is not made.
    return {"credential": own, "own_types": own_types, "may_signal": not credential.signer.needs_human}


def read_cert_chain(
    certfile: "str | bytes | os.PathLike[str] | os.PathLike[bytes]",
    keyfile: "str | bytes | os.PathLike[str] | os.PathLike[bytes] | None",
    password: Password,
) -> OwnCredential:
    """PEM files: certificates, leaf first, and the private key after or before them or in a file of its own.

    Raises OSError where a file cannot be read, TLSMisuse where it does not hold what it should.
    """
    certificates = Path(os.fsdecode(certfile)).read_bytes()
    key = certificates if keyfile is None else Path(os.fsdecode(keyfile)).read_bytes()
    try:
        chain = certificates_from_pem(certificates)
    except Malformed as error:
        raise TLSMisuse(f"{os.fsdecode(certfile)}: {error}") from None
    if not chain:
        raise TLSMisuse(f"{os.fsdecode(certfile)}: no certificate in PEM form")
    return OwnCredential(chain=chain, key=_private_key(key, password, os.fsdecode(keyfile or certfile)))


def _private_key(pem: bytes, password: Password, where: str) -> bytes:
    block = _PRIVATE_KEY.search(pem)
    if block is None:
        raise TLSMisuse(f"{where}: no private key in PEM form")
    encrypted = b"ENCRYPTED" in block[0]
    secret: bytes | None = None
    if encrypted and password is not None:
        given = password() if callable(password) else password
        secret = given.encode() if isinstance(given, str) else bytes(given)
    try:
        return private_key_to_der(private_key_from_pem(block[0], secret))
    except (Malformed, Misuse) as error:
        raise TLSMisuse(f"{where}: {error}") from None
