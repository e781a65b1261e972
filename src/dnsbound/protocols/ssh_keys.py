"""Public keys of SSH as keys of TLSA records, and back; and the two kinds of line that OpenSSH reads from a command.

An SSH key that can sign for TLS is the same key as the one in a TLSA record 3 1 x, in another form: the record is made
of the SubjectPublicKeyInfo. Keys of hardware tokens (`sk-...`), SSH certificates and DSA keys are none of these.
Sections: RFC 4253 section 6.6, RFC 5656 section 3.1, RFC 8709 section 4 (blobs); sshd(8), AUTHORIZED_KEYS FILE FORMAT
and SSH_KNOWN_HOSTS FILE FORMAT (lines). What this is not: a decision about who may log in.
"""

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_ssh_public_key,
)

from dnsbound.door_limits import SSH_KEY_OCTETS
from dnsbound.errors import LimitExceeded, Malformed, Misuse
from dnsbound.names import ClientName

ACCOUNTS: Final = "ssh_accounts"
"""The grant that lists the accounts a name may log in to."""
OPTIONS: Final = "ssh_options"
"""The grant with the options of the authorized_keys line: a list of texts."""
SSH_PORT: Final = 22
_KINDS: Final = frozenset(
    {"ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"}
)
_SIGNATURES: Final = {"rsa-sha2-256": "ssh-rsa", "rsa-sha2-512": "ssh-rsa"}
"""RFC 8332 section 3: names of signatures with keys of another name."""
_OPTION: Final = re.compile(r'[a-z][a-z0-9-]*(?:="(?:[^"\\\x00-\x1f\x7f]|\\["\\])*")?')
_ACCOUNT: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}")
_HOST: Final = re.compile(r"\[([^\[\]\s]+)\]:([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class SshKey:
    """One public key. spki: its DER SubjectPublicKeyInfo; blob: the same as SSH sends it."""

    kind: str
    blob: bytes
    spki: bytes

    @classmethod
    def from_text(cls, kind: str, text: str) -> Self:
        """kind: of the key, or of the signature it makes. text: base64 of the blob. Malformed, LimitExceeded."""
        kind = _SIGNATURES.get(kind, kind)
        if kind not in _KINDS:
            raise Malformed(f"SSH key: {kind[:40]!r} is no kind of key that a TLSA record can name")
        if len(text) > SSH_KEY_OCTETS.default * 4 // 3 + 4:
            raise LimitExceeded(SSH_KEY_OCTETS.name, "the blob is too long")
        try:
            blob = b64decode(text.encode("ascii"), validate=True)
            key = load_ssh_public_key(f"{kind} {text}".encode("ascii"))
        except (binascii.Error, ValueError, UnsupportedAlgorithm, NotImplementedError):  # the last: a compressed point
            raise Malformed("SSH key: the blob is none of its kind") from None
        found = cls._of(key)
        if found is None or found.kind != kind or found.blob != blob:
            raise Malformed("SSH key: the blob is of another kind, or not in its one form")
        return cls(kind, blob, found.spki)

    @classmethod
    def from_spki(cls, spki: bytes) -> Self:
        """Malformed for what is no key, or one that SSH does not have."""
        try:
            found = cls._of(load_der_public_key(spki))
        except (ValueError, TypeError, UnsupportedAlgorithm):
            found = None
        if found is None or found.spki != spki or found.kind not in _KINDS:
            raise Malformed("the public key is none that SSH has")
        return found

    @classmethod
    def _of(cls, key: object) -> Self | None:
        if not isinstance(key, ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
            return None
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        kind, _, text = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).partition(b" ")
        return cls(kind.decode("ascii"), b64decode(text), spki)

    def to_text(self) -> str:
        """Kind and base64, as in every file of OpenSSH."""
        return f"{self.kind} {b64encode(self.blob).decode('ascii')}"


def account_of(text: str) -> str:
    """The name of an account, checked: it comes from whoever tries to log in. Malformed."""
    if not _ACCOUNT.fullmatch(text):
        raise Malformed("no name of an account")
    return text


def accounts_of(grants: Mapping[str, Any]) -> tuple[str, ...]:
    """The accounts that a name is granted; none where the grant is not a list of texts, which grants nothing."""
    accounts = grants.get(ACCOUNTS, ())
    if not isinstance(accounts, tuple | list):
        return ()
    return tuple(account for account in accounts if isinstance(account, str))


def authorized_line(key: SshKey, name: ClientName, grants: Mapping[str, Any]) -> str:
    """The line that lets the key in, with the granted options. Misuse for options that are none: a login without the
    restriction that was meant is worse than no login."""
    options = grants.get(OPTIONS, ())
    if not isinstance(options, tuple | list) or not all(
        isinstance(option, str) and _OPTION.fullmatch(option) for option in options
    ):
        raise Misuse(f"{OPTIONS} of {name} is no list of options of an authorized_keys file")
    return f"{','.join(options)}{' ' if options else ''}{key.to_text()} {name.canonical}\n"


@dataclass(frozen=True, slots=True)
class SshHost:
    """A host as ssh names it: `name`, or `[name]:port` (ssh_config(5), KnownHostsCommand, token %H)."""

    name: ClientName
    port: int

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Malformed, also for an address, which has no name."""
        found = _HOST.fullmatch(text)
        name, port = (found[1], int(found[2])) if found else (text, SSH_PORT)
        if not 0 < port < 65_536:
            raise Malformed("SSH host: no such port")
        return cls(ClientName.parse(name.lower()), port)

    @property
    def owner(self) -> ClientName:
        """Where its records are (RFC 6698 section 3)."""
        return ClientName.parse(f"_{self.port}._tcp.{self.name.canonical}")

    def to_text(self) -> str:
        return self.name.canonical if self.port == SSH_PORT else f"[{self.name.canonical}]:{self.port}"

    def known_line(self, key: SshKey) -> str:
        return f"{self.to_text()} {key.to_text()}\n"
