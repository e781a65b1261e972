"""S/MIME: a mail message that is signed (RFC 8551).

Two forms are read, `multipart/signed` and `application/pkcs7-mime` of smime-type signed-data; the first is made. Only
the content is under the signature: of the header nothing is but what says who wrote it, by this rule. The certificate
shows the mailbox of the From field, or shows a device's name that the From field's domain is, or there is no From
field. Subject, recipients and date are the carrier's: header protection (RFC 9788) is not done.
"""

import email
import re
from dataclasses import dataclass
from email.policy import compat32
from hashlib import sha256
from typing import Final

from dnsbound.credential.credential import Credential
from dnsbound.errors import Malformed, Misuse
from dnsbound.names import ClientName, MailboxName
from dnsbound.objects.cms import signing
from dnsbound.objects.cms.algorithms import DIGESTS, signing_choice
from dnsbound.objects.cms.mime import Entity, base64_lines, sender_of, with_crlf
from dnsbound.objects.cms.signed_data import SignedData
from dnsbound.objects.cms.signer_certificate import mailboxes_in, name_in
from dnsbound.objects.signed import SignedObject
from dnsbound.times import Moment

SIGNATURE_TYPES: Final = frozenset({"application/pkcs7-signature", "application/x-pkcs7-signature"})
MIME_TYPES: Final = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
_SIGNED_HEADER: Final = (
    b"MIME-Version: 1.0\r\n"
    b'Content-Type: multipart/signed; protocol="application/pkcs7-signature";\r\n'
    b' micalg=sha-%d; boundary="%s"\r\n\r\n'
)
_SIGNATURE_HEADER: Final = (
    b'Content-Type: application/pkcs7-signature; name="smime.p7s"\r\n'
    b"Content-Transfer-Encoding: base64\r\n"
    b'Content-Disposition: attachment; filename="smime.p7s"\r\n\r\n'
)
_BOUNDARY_DIGITS: Final = 48
"""RFC 2046 section 5.1.1: a boundary has 70 characters at most."""
_NOT_ASCII: Final = re.compile(rb"[^\x00-\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedMessage:
    """A signed mail message that parses. Nothing of it is trusted."""

    signed: SignedObject
    """Its payload is the MIME entity that was signed, with CRLF line ends."""
    sender: MailboxName | None
    """Of the From field; in accordance with the name that is said to have signed."""


def parse(message: bytes) -> SignedMessage:
    """A signed mail message. Malformed for any other, and for one whose From field is not its signer's."""
    outer = Entity.parse(message)
    sender = sender_of(outer)
    if outer.content_type == "multipart/signed":
        content, signature = _parts(outer)
    elif outer.content_type in MIME_TYPES:
        if outer.parameter("smime-type").lower() not in ("", "signed-data"):
            raise Malformed(f"the message is {outer.parameter('smime-type')[:40]!r}, not signed")
        content, signature = None, outer.base64_body()
    else:
        raise Malformed(f"the message is {outer.content_type}, not signed")
    data = SignedData.from_wire(signature)
    chain = data.chain()
    if not chain:
        raise Malformed("the signer's certificate is not in the message")
    return SignedMessage(signed=data.signed_object(content, name=identity_of(chain[0], sender)), sender=sender)


def sign(message: bytes, credential: Credential, *, now: Moment) -> bytes:
    """The message as `multipart/signed`, with CRLF line ends. message: header fields, an empty line, the body.

    What is not ASCII is encoded for transport first, since a mail server may do that on the way and break the
    signature. Misuse when the From field is not the credential's, and for a credential without certificate.
    """
    outer = Entity.parse(message)
    if not credential.chain:
        raise Misuse("an S/MIME signer has a certificate; this credential is a bare key")
    try:
        identity_of(credential.chain[0], sender_of(outer))
    except Malformed as error:
        raise Misuse(f"no verifier would take the message: {error}") from None
    content = _content_of(outer)
    signature = signing.sign(content, credential, now=now, detached=True)
    digest = DIGESTS[signing_choice(credential.signer).digest]
    # Taken from the content, so that the same message has the same boundary, and no line of it can be the boundary.
    boundary = b"signed-" + sha256(content).hexdigest()[:_BOUNDARY_DIGITS].encode("ascii")
    head = _SIGNED_HEADER % (digest.digest_size * 8, boundary)
    parts = b"--%s\r\n%s\r\n--%s\r\n" % (boundary, content, boundary)
    return (
        outer.header_of(content=False)
        + head
        + parts
        + _SIGNATURE_HEADER
        + base64_lines(signature)
        + (b"--%s--\r\n" % boundary)
    )


def identity_of(certificate: bytes, sender: MailboxName | None) -> ClientName:
    """Whom a certificate speaks for in a message from that mailbox; Malformed when it does not."""
    mailboxes = mailboxes_in(certificate)
    if sender is not None and sender in mailboxes:
        return sender
    if sender is None and len(mailboxes) == 1:
        return mailboxes[0]
    if mailboxes:
        raise Malformed("the From field is not a mailbox of the signer's certificate")
    name = name_in(certificate)
    if sender is not None and sender.domain != name:
        raise Malformed(f"the From field is no mailbox at {name}, whose certificate signed")
    return name


def _parts(outer: Entity) -> tuple[bytes, bytes]:
    """The signed entity as it is digested, and the signature."""
    if outer.parameter("protocol").lower() not in SIGNATURE_TYPES:
        raise Malformed("the message is not signed by S/MIME")
    parts = outer.parts()
    if len(parts) != 2:
        raise Malformed(f"a signed message has two parts, not {len(parts)}")
    signature = Entity.parse(parts[1])
    if signature.content_type not in SIGNATURE_TYPES:
        raise Malformed(f"the second part is {signature.content_type}, not a signature")
    return with_crlf(parts[0]), signature.base64_body()


def _content_of(outer: Entity) -> bytes:
    """The entity that is signed: content fields and body, in ASCII and with CRLF."""
    header = outer.header_of(content=True)
    content = header + b"\r\n" + with_crlf(outer.body)
    if not _NOT_ASCII.search(content):
        return content
    if _NOT_ASCII.search(header):
        raise Misuse("the message's content fields are not ASCII")
    policy = compat32.clone(linesep="\r\n", cte_type="7bit")
    content = email.message_from_bytes(content, policy=policy).as_bytes()
    if _NOT_ASCII.search(content):
        raise Misuse("the message is not ASCII and does not say its character set: it cannot be encoded for transport")
    return with_crlf(content)
