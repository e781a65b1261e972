"""Users of a domain: `ann@cars.example`, by a certificate of the domain's authority for users.

The domain publishes that authority at `_user.cars.example` (usage 2). A client that says this name is let in as any
other is: the name on the access list, the record, the path. Which user it is stands in its certificate, and is read
here afterwards, from evidence that holds. The list says which users are meant, by a grant; without it nobody is.

    { names = ["_user.cars.example"], grants = { users = ["ann", "bob"] } }      or users = "*"

A certificate names its user by a subjectAltName: the uid as otherName (RFC 4519), or a mailbox of the domain
(rfc822Name, or RFC 9598 where it is not ASCII). Its dNSName is the domain, as ARCH example 3 has it, or the name with
`_user` before it, as draft-ietf-dance-client-auth section 8.2 has it. The identity is in lower case: two users do not
differ by it.
"""

import re
from collections.abc import Iterator
from dataclasses import InitVar, dataclass
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier

from dnsbound.credential import der
from dnsbound.credential.certificate_facts import spki_of
from dnsbound.credential.certificate_parsing import UNPARSABLE, certificate_from_der
from dnsbound.errors import Malformed, Misuse, Reason, Refused
from dnsbound.iana import Usage
from dnsbound.names import USERS_LABEL, ClientName
from dnsbound.verify.claim import Proved
from dnsbound.verify.peer import VerifiedPeer

GRANT: Final = "users"
"""The grant that lists users by their uid."""
EVERYBODY: Final = "*"
_UID: Final = ObjectIdentifier("0.9.2342.19200300.100.1.1")
_SMTP_UTF8_MAILBOX: Final = ObjectIdentifier("1.3.6.1.5.5.7.8.9")
_UTF8_STRING: Final = 0x0C
_TEXT: Final = re.compile(r"[\w.+-]{1,64}")
_OF_AUTHORITIES: Final = frozenset({int(Usage.DANE_TA), int(Usage.PKIX_TA)})
_SEAL: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedUser:
    """A user of a domain, and the evidence. Made by `user_of` alone."""

    uid: str
    """In lower case."""
    domain: ClientName
    peer: VerifiedPeer
    seal: InitVar[object] = None

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise Misuse("a VerifiedUser comes from user_of, by reading a verified certificate")

    @property
    def text(self) -> str:
        """`uid@domain`, all of it in lower case."""
        return f"{self.uid}@{self.domain.canonical}"

    def __str__(self) -> str:
        return self.text


def is_of_users(name: ClientName) -> bool:
    """Whether a name is that of a domain's authority for users."""
    return name.labels[0] == USERS_LABEL and len(name.labels) > 2


def user_of(peer: VerifiedPeer, certificate: bytes) -> VerifiedUser:
    """Which user the peer is. certificate: the one that the peer was verified with, in DER.

    Refused: NO_NAME for another kind of name, or a certificate that names no user; AMBIGUOUS_NAME when it names
    several; BAD_NAME for a uid that is none; TLSA_UNUSABLE where the record names one key, and not an authority;
    NOT_PERMITTED for a user that the access list does not mean.
    """
    if not is_of_users(peer.name):
        raise Refused(Reason.NO_NAME, f"{peer.name} is no {USERS_LABEL} name")
    if peer.record.usage not in _OF_AUTHORITIES:
        raise Refused(Reason.TLSA_UNUSABLE, f"the record {peer.record.parameters} names one key for all users")
    domain = ClientName.parse(peer.name.text.partition(".")[2])
    try:
        _expect_same(peer, certificate)
        found = uids_in(certificate, domain)
    except Malformed as error:
        raise Refused(Reason.CHAIN_INVALID, str(error)) from error
    if not found:
        raise Refused(Reason.NO_NAME, f"the certificate names no user of {domain.canonical}")
    if len(found) > 1:
        raise Refused(Reason.AMBIGUOUS_NAME, f"the certificate names {len(found)} users")
    (uid,) = found
    if _TEXT.fullmatch(uid) is None:
        raise Refused(Reason.BAD_NAME, "the certificate's uid has characters that no user has here")
    _expect_meant(peer, uid)
    return VerifiedUser(uid=uid, domain=domain, peer=peer, seal=_SEAL)


def _expect_same(peer: VerifiedPeer, certificate: bytes) -> None:
    """Where the engine knows the key that signed, the certificate is that key's."""
    if isinstance(peer.possession, Proved) and peer.possession.spki and peer.possession.spki != spki_of(certificate):
        raise Misuse("the certificate is not the one that the peer was verified with")


def _expect_meant(peer: VerifiedPeer, uid: str) -> None:
    meant = peer.grants.get(GRANT, ())
    if meant == EVERYBODY:
        return
    if isinstance(meant, str):
        meant = (meant,)
    if not isinstance(meant, tuple) or uid not in {entry.lower() for entry in meant if isinstance(entry, str)}:
        raise Refused(Reason.NOT_PERMITTED, f"{uid} is not among the {GRANT} that the access list grants {peer.name}")


def uids_in(certificate: bytes, domain: ClientName) -> frozenset[str]:
    """The users of a domain that a certificate in DER names, in lower case, whatever they look like. Malformed."""
    return frozenset(_uids(certificate, domain))


def _uids(certificate: bytes, domain: ClientName) -> Iterator[str]:
    parsed = certificate_from_der(certificate)
    try:
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        for name in names:
            if isinstance(name, x509.OtherName) and name.type_id == _UID:
                yield _utf8(name.value).lower()
            elif isinstance(name, x509.OtherName) and name.type_id == _SMTP_UTF8_MAILBOX:
                yield from _of_mailbox(_utf8(name.value), domain)
            elif isinstance(name, x509.RFC822Name):
                yield from _of_mailbox(name.value, domain)
    except x509.ExtensionNotFound:
        return
    except UNPARSABLE as error:
        raise Malformed(f"certificate's names do not parse: {error}") from error


def _of_mailbox(text: str, domain: ClientName) -> Iterator[str]:
    """The local part of a mailbox of the domain; mailboxes elsewhere name no user of it."""
    local, _, host = text.rpartition("@")
    if host.lower() == domain.canonical:
        yield local.lower()


def _utf8(value: bytes) -> str:
    start, end = der.expect(value, 0, len(value), _UTF8_STRING, "UTF8String of a name")
    if end != len(value):
        raise Malformed("a name in the certificate has octets too many")
    try:
        return value[start:end].decode()
    except UnicodeDecodeError:
        raise Malformed("a name in the certificate is no UTF-8") from None
