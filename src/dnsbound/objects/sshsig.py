"""SSHSIG: signatures of files and of Git's objects, as `ssh-keygen -Y sign` makes them.

    signature = make(digest_of(pieces, "sha512"), credential.signer, namespace="file")
    text = signature.to_text()                                  # -----BEGIN SSH SIGNATURE-----
    signed = SshSignature.from_text(text).signed_object(digest, namespace="file", name=name)

The message is digested first, so that one of any length is signed and verified as it flows by. The key is in band; no
name is. Whose the key is, is for the door to find out, of which the caller says the name that it should be. The
namespace says what a signature is for, and is part of what is signed; one of another namespace verifies nothing.
Section: PROTOCOL.sshsig of OpenSSH (draft-josefsson-sshsig-format). What this is not: SSH's own certificates, keys of
hardware tokens, and files of allowed signers.
"""

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256, sha512
from textwrap import wrap
from typing import Final, Self

from dnsbound.credential import ssh_signature
from dnsbound.credential.keys import PublicKey
from dnsbound.credential.presented import Presented
from dnsbound.credential.signature import BadSignature
from dnsbound.credential.signer import Signer
from dnsbound.credential.ssh_key import SshKey
from dnsbound.credential.ssh_signature import string
from dnsbound.door_limits import SSHSIG_OCTETS
from dnsbound.errors import LimitExceeded, Malformed, Misuse
from dnsbound.names import ClientName
from dnsbound.objects.signed import SignedObject
from dnsbound.wire import Reader

FORM: Final = "SSHSIG"
FIRST_LINE: Final = "-----BEGIN SSH SIGNATURE-----"
LAST_LINE: Final = "-----END SSH SIGNATURE-----"
FILE: Final = "file"
"""The namespace that ssh-keygen(1) names for files."""
GIT: Final = "git"
_MAGIC: Final = b"SSHSIG"
_VERSION: Final = 1
_DIGESTS: Final = {"sha256": sha256, "sha512": sha512}
_LINE: Final = 70
"""Characters of base64, as ssh-keygen writes them."""
_ARMOUR: Final = re.compile(rf"\s*{FIRST_LINE}\r?\n([A-Za-z0-9+/=\r\n]*?)\r?\n?{LAST_LINE}\s*")
_NAMESPACE: Final = re.compile(r"[!-~][ -~]{0,126}[!-~]|[!-~]")


@dataclass(frozen=True, slots=True, kw_only=True)
class SshSignature:
    """One signature, parsed and not believed. blob: the signature in SSH's form."""

    key: SshKey
    namespace: str
    digest: str
    """`sha256` or `sha512`: what the message was digested with."""
    algorithm: str
    """The signature's, such as `ssh-ed25519` or `rsa-sha2-512`."""
    blob: bytes

    @classmethod
    def from_wire(cls, octets: bytes) -> Self:
        """Malformed, LimitExceeded."""
        if len(octets) > SSHSIG_OCTETS.default:
            raise LimitExceeded(SSHSIG_OCTETS.name, f"{len(octets)} octets")
        reader = Reader(octets, FORM)
        if reader.octets(len(_MAGIC)) != _MAGIC:
            raise Malformed("SSHSIG: none, by its first octets", 0)
        if (version := reader.uint(4)) != _VERSION:
            raise Malformed(f"SSHSIG: version {version} is not known")
        key, namespace = SshKey.from_blob(reader.prefixed(4)), _namespace(reader.prefixed(4))
        # Nothing reserved is written yet; what a later version wrote there would be part of what is signed.
        if reader.prefixed(4):
            raise Malformed("SSHSIG: the reserved field is not empty")
        digest, blob = reader.prefixed(4).decode("ascii", "replace"), reader.prefixed(4)
        reader.finish()
        if digest not in _DIGESTS:
            raise Malformed(f"SSHSIG: {digest[:40]!r} is no digest of this form")
        return cls(key=key, namespace=namespace, digest=digest, algorithm=ssh_signature.parts_of(blob)[0], blob=blob)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The armoured form, with nothing before and behind it but space. Malformed, LimitExceeded."""
        if len(text) > 2 * SSHSIG_OCTETS.default:
            raise LimitExceeded(SSHSIG_OCTETS.name, f"{len(text)} characters of text")
        found = _ARMOUR.fullmatch(text)
        if found is None:
            raise Malformed("SSHSIG: not between its first and its last line")
        try:
            return cls.from_wire(b64decode("".join(found[1].split()), validate=True))
        except binascii.Error:
            raise Malformed("SSHSIG: not base64") from None

    def to_wire(self) -> bytes:
        return b"".join(
            (
                _MAGIC,
                _VERSION.to_bytes(4, "big"),
                string(self.key.blob),
                string(self.namespace.encode("ascii")),
                string(b""),
                string(self.digest.encode("ascii")),
                string(self.blob),
            )
        )

    def to_text(self) -> str:
        """As ssh-keygen writes it, with a line end behind."""
        lines = wrap(b64encode(self.to_wire()).decode("ascii"), _LINE)
        return "\n".join((FIRST_LINE, *lines, LAST_LINE, ""))

    def digest_of(self, pieces: Iterable[bytes]) -> bytes:
        """What the message, piece by piece, comes to in this signature."""
        return digest_of(pieces, self.digest)

    def check(self, digest: bytes, key: PublicKey | None = None) -> None:
        """BadSignature unless it is of the message with this digest, by the key; by its own, which anybody can put
        there, without one."""
        key = ssh_signature.public_key(self.key) if key is None else key
        ssh_signature.verify(key, self.blob, _signed(digest, self.namespace, self.digest))

    def signed_object(self, digest: bytes, *, namespace: str, name: ClientName) -> SignedObject:
        """What a door verifies. digest: of the message, by `digest_of`. name: who is said to have signed.
        BadSignature where the signature is for another namespace."""
        if namespace != self.namespace:
            raise BadSignature(f"the signature is for {self.namespace!r}, not for {namespace!r}")
        return SignedObject(
            name=name,
            form=FORM,
            algorithm=self.algorithm,
            presented=Presented(raw_public_key=self.key.spki),
            check=lambda key: self.check(digest, key),
            payload=None,
            content=self,
        )


def make(digest: bytes, signer: Signer, *, namespace: str, digest_name: str = "sha512") -> SshSignature:
    """Sign the message with this digest. Misuse for a namespace that is none, a digest of another length, and keys
    that cannot sign so (`ssh_signature.sign`); Malformed for a key that SSH has not."""
    try:
        namespace = _namespace(namespace.encode("ascii"))
    except (UnicodeEncodeError, Malformed):
        raise Misuse("the namespace of a signature is some printable ASCII characters, such as file or git") from None
    if digest_name not in _DIGESTS or len(digest) != _DIGESTS[digest_name]().digest_size:
        raise Misuse(f"{len(digest)} octets are no digest of {digest_name}: sha256 and sha512 are used")
    blob = ssh_signature.sign(signer, _signed(digest, namespace, digest_name))
    return SshSignature(
        key=SshKey.from_spki(signer.spki),
        namespace=namespace,
        digest=digest_name,
        algorithm=ssh_signature.parts_of(blob)[0],
        blob=blob,
    )


def digest_of(pieces: Iterable[bytes], digest_name: str = "sha512") -> bytes:
    """What is signed of a message that comes in pieces."""
    digest = _DIGESTS[digest_name]()
    for piece in pieces:
        digest.update(piece)
    return digest.digest()


def _signed(digest: bytes, namespace: str, digest_name: str) -> bytes:
    parts = (namespace.encode("ascii"), b"", digest_name.encode("ascii"), digest)
    return _MAGIC + b"".join(string(part) for part in parts)


def _namespace(octets: bytes) -> str:
    text = octets[:129].decode("ascii", "replace")
    if not _NAMESPACE.fullmatch(text):
        raise Malformed("SSHSIG: the namespace is empty, too long, or not printable ASCII")
    return text
