"""SSHSIG over content of any size: the content is digested as it goes by, so that every key of SSH signs it, Ed25519
and keys on tokens too. `ssh-keygen -Y verify -n file` verifies what is made here, and the other way about.

The signature says no name. Who verifies says whose it should be (`Opened.claim`). Section: PROTOCOL.sshsig.
"""

import hashlib
from typing import Final

from dnsbound.credential.credential import Credential
from dnsbound.errors import Malformed, Misuse
from dnsbound.names import ClientName
from dnsbound.objects.large.content import Opened
from dnsbound.objects.signed import SignedObject
from dnsbound.objects.sshsig import FILE, SshSignature, make

_DIGEST: Final = "sha512"


class SshsigSigning:
    """Signs content that is given in pieces."""

    __slots__ = ("_credential", "_digest")

    def __init__(self, credential: Credential, *, key_in_band: bool = True) -> None:
        if not key_in_band:
            raise Misuse("an SSH signature always brings its key along")
        self._credential = credential
        self._digest = hashlib.new(_DIGEST)

    def update(self, octets: bytes | memoryview) -> None:
        self._digest.update(octets)

    def finish(self) -> bytes:
        """The armoured signature, for files."""
        made = make(self._digest.digest(), self._credential.signer, namespace=FILE, digest_name=_DIGEST)
        return made.to_text().encode("ascii")


class SshsigContent:
    """The content of a signature, while it is given in pieces."""

    __slots__ = ("_digest", "_name", "_signature")

    def __init__(self, signature: SshSignature) -> None:
        self._signature = signature
        self._digest = hashlib.new(signature.digest)
        self._name: ClientName | None = None

    def claim(self, name: ClientName) -> None:
        """Whose it should be."""
        self._name = name

    def update(self, octets: bytes | memoryview) -> None:
        self._digest.update(octets)

    def finish(self) -> SignedObject:
        """Misuse unless it was said whose it should be."""
        if self._name is None:
            raise Misuse("an SSH signature says no name: say whose it should be")
        return self._signature.signed_object(self._digest.digest(), namespace=FILE, name=self._name)


def open_sshsig(octets: bytes) -> Opened:
    """Malformed, also for a signature that is not for files."""
    signature = SshSignature.from_text(octets.decode("ascii", "replace"))
    if signature.namespace != FILE:
        raise Malformed(f"the SSH signature is for {signature.namespace!r}, not for files ({FILE!r})")
    content = SshsigContent(signature)
    return Opened(typ=None, signed=None, content=content, claim=content.claim)
