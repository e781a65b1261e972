"""SSH's own certificates, for users: a key, the principals it may log in as, a time, and the signature of a CA's key.

There is no chain and no name of the CA: what a door believes is the CA's key, which is a name's when that name's TLSA
record has it. `parse` reads what sshd was shown (`%k` of AuthorizedKeysCommand); `make` signs one with a CA's signer,
which may be a token.
Section: PROTOCOL.certkeys of OpenSSH (draft-miller-ssh-cert). What this is not: host certificates.
"""

import binascii
from base64 import b64decode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificate,
    SSHCertificateBuilder,
    SSHCertificateType,
    load_ssh_public_identity,
)

from dnsbound.credential.signature import BadSignature
from dnsbound.credential.signer import LocalSigner, Signer
from dnsbound.credential.signing_key import private_key_of
from dnsbound.credential.ssh_key import SshKey
from dnsbound.credential.ssh_signature import public_key
from dnsbound.door_limits import SSH_CERTIFICATE_OCTETS, SSH_PRINCIPALS
from dnsbound.errors import LimitExceeded, Malformed, Misuse
from dnsbound.times import Moment, Seconds

SUFFIX: Final = "-cert-v01@openssh.com"
"""How the kinds of certificates end."""
_FOREVER: Final = 0xFFFFFFFFFFFFFFFF
_PERMITTED: Final = (
    "permit-X11-forwarding",
    "permit-agent-forwarding",
    "permit-port-forwarding",
    "permit-pty",
    "permit-user-rc",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SshCertificate:
    """A user's certificate, whose signature is its CA key's; nothing is believed of whose that is.

    valid_after, valid_before: seconds since 1970; None for no end.
    """

    blob: bytes
    """As it came."""
    key: SshKey
    authority: SshKey
    key_id: str
    serial: int
    principals: tuple[str, ...]
    valid_after: Moment
    valid_before: Moment | None

    @classmethod
    def from_text(cls, kind: str, text: str) -> Self:
        """kind: with its ending. text: base64. Malformed; LimitExceeded; BadSignature where the CA's key, as it stands
        in it, did not sign it."""
        certificate = _read(kind, text)
        if certificate.type is not SSHCertificateType.USER:
            raise Malformed("SSH certificate: it is a host's, not a user's")
        principals = tuple(certificate.valid_principals)
        if len(principals) > SSH_PRINCIPALS.default:
            raise LimitExceeded(SSH_PRINCIPALS.name, f"{len(principals)} principals")
        key, authority = _ssh_key(certificate.public_key), _ssh_key(certificate.signature_key)
        if kind != key.kind + SUFFIX:
            raise Malformed("SSH certificate: it is of another kind")
        try:
            certificate.verify_cert_signature()
        except (InvalidSignature, ValueError):
            raise BadSignature("the certificate is not signed by the key of its CA") from None
        return cls(
            blob=b64decode(text),
            key=key,
            authority=authority,
            key_id=certificate.key_id.decode("utf-8", "replace"),
            serial=certificate.serial,
            principals=tuple(_principal(octets) for octets in principals),
            valid_after=float(certificate.valid_after),
            valid_before=None if certificate.valid_before == _FOREVER else float(certificate.valid_before),
        )

    def lasts(self) -> Seconds | None:
        """From the beginning to the end of its time; None where it has no end."""
        return None if self.valid_before is None else self.valid_before - self.valid_after


def make(
    key: SshKey,
    authority: Signer,
    *,
    principals: Sequence[str],
    valid_after: Moment,
    valid_before: Moment,
    key_id: str = "",
    serial: int = 0,
) -> str:
    """A user's certificate as one line: kind and base64. Misuse for what cannot be written: no principal (OpenSSH
    would take that for every account), an end before the beginning, or a CA that cannot sign so."""
    if not principals or len(principals) > SSH_PRINCIPALS.default:
        raise Misuse(f"a certificate is for 1 to {SSH_PRINCIPALS.default} principals")
    if not 0 <= valid_after < valid_before < _FOREVER:
        raise Misuse("the time of a certificate begins before it ends")
    if SshKey.from_spki(authority.spki).kind == "ssh-rsa" and not isinstance(authority, LocalSigner):
        raise Misuse("SSH signs PKCS #1 with RSA: a key that is elsewhere does not do that here")
    try:
        builder: Any = (
            SSHCertificateBuilder()
            .public_key(public_key(key))  # type: ignore[arg-type] # kinds that SSH has not do not come here
            .serial(serial)
            .type(SSHCertificateType.USER)
            .key_id((key_id or principals[0]).encode("utf-8"))
            .valid_principals([_written(principal) for principal in principals])
            .valid_after(int(valid_after))
            .valid_before(int(valid_before))
        )
        for extension in _PERMITTED:
            builder = builder.add_extension(extension.encode("ascii"), b"")
        signed = builder.sign(private_key_of(authority))
    except (TypeError, ValueError) as error:
        raise Misuse(f"the certificate cannot be made: {error}") from error
    text: str = signed.public_bytes().decode("ascii")
    return text.strip()


def _read(kind: str, text: str) -> SSHCertificate:
    if len(text) > SSH_CERTIFICATE_OCTETS.default * 4 // 3 + 4:
        raise LimitExceeded(SSH_CERTIFICATE_OCTETS.name, "the certificate is too long")
    try:
        b64decode(text.encode("ascii"), validate=True)
        found = load_ssh_public_identity(f"{kind} {text}".encode("ascii"))
    except (binascii.Error, ValueError, UnsupportedAlgorithm, NotImplementedError, InvalidSignature, TypeError):
        raise Malformed("SSH certificate: it does not parse") from None
    if not isinstance(found, SSHCertificate):
        raise Malformed("SSH certificate: a key is none")
    return found


def _ssh_key(read: Callable[[], Any]) -> SshKey:
    """read: gives the key, which the library may look at only now."""
    try:
        text = read().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")
    except (ValueError, TypeError, UnsupportedAlgorithm, NotImplementedError):
        raise Malformed("SSH certificate: a key of a kind that is not used") from None
    kind, _, blob = text.partition(" ")
    return SshKey.from_text(kind, blob)


def _principal(octets: bytes) -> str:
    """ASCII, printable and without what would end it in a line of authorized_keys."""
    text = octets.decode("utf-8", "replace")
    if not text or not text.isascii() or not text.isprintable() or any(char in text for char in ',"\\ '):
        raise Malformed("SSH certificate: a principal that is no plain word")
    return text


def _written(principal: str) -> bytes:
    try:
        return _principal(principal.encode("utf-8")).encode("ascii")
    except Malformed:
        raise Misuse(f"{principal!r} is no plain word, as a principal must be") from None
