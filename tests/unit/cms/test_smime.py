"""Signed mail messages: both forms, both line ends, and whose message it is."""

import email

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import public_key_from_spki
from dnsbound.credential.signature import BadSignature
from dnsbound.errors import Malformed, Misuse
from dnsbound.names import ClientName, MailboxName
from dnsbound.objects.cms import signing, smime
from dnsbound.objects.cms.mime import MAX_HEADER_OCTETS, base64_lines
from unit.cms.crafting import CAR, NAME, NOW

HUGH = MailboxName.parse("hugh@example.com")
MESSAGE = b"From: Hugh <hugh@example.com>\nTo: gov@gov.example\nSubject: report\n\nTwelve kilometres.\n"


def mailbox_credential(*mailboxes: str) -> Credential:
    """A key with a certificate for mailboxes."""
    key = ec.generate_private_key(ec.SECP256R1())
    template = x509.load_der_x509_certificate(CAR.chain[0])
    builder = x509.CertificateBuilder(
        template.issuer,
        template.subject,
        key.public_key(),
        7,
        template.not_valid_before_utc,
        template.not_valid_after_utc,
    )
    names = x509.SubjectAlternativeName([x509.RFC822Name(mailbox) for mailbox in mailboxes])
    made = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    return Credential(None, key, (made.public_bytes(Encoding.DER),))


HEAD = b'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; boundary="x"\n\n'
HUGHS = mailbox_credential("hugh@example.com", "h@example.com")


def verified(message: bytes, credential: Credential) -> smime.SignedMessage:
    parsed = smime.parse(message)
    parsed.signed.check(public_key_from_spki(credential.spki))
    return parsed


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"], ids=["lf", "crlf"])
def test_cm_17_what_is_signed_is_read_in_both_line_ends(line_end: bytes) -> None:
    made = smime.sign(MESSAGE, HUGHS, now=NOW)
    assert made.count(b"\n") == made.count(b"\r\n")
    parsed = verified(made.replace(b"\r\n", line_end), HUGHS)
    assert (parsed.signed.name, parsed.sender) == (HUGH, HUGH)
    assert parsed.signed.payload == b"\r\nTwelve kilometres.\r\n"


@pytest.mark.parametrize(
    "body",
    [b"", b"\n", b"no line end", b"\n\n\n", b"--\n--signed-\n-- \n", b"From here\n.\n", b"lone\rcr\n", b"a\n" * 10_000],
)
def test_cm_17_any_body_comes_through(body: bytes) -> None:
    content = b"Content-Type: text/plain\n\n" + body
    made = smime.sign(b"From: hugh@example.com\n" + content, HUGHS, now=NOW)
    assert verified(made, HUGHS).signed.payload == content.replace(b"\n", b"\r\n")


def test_cm_17_a_signed_message_can_be_signed_again() -> None:
    """A multipart message within the signed one: its boundaries are not the outer one's."""
    inner = smime.sign(MESSAGE, HUGHS, now=NOW)
    parsed = verified(smime.sign(inner, HUGHS, now=NOW), HUGHS)
    assert parsed.signed.payload is not None
    assert verified(b"From: hugh@example.com\r\n" + parsed.signed.payload, HUGHS).signed.name == HUGH


def test_cm_17_what_is_not_ascii_is_encoded_before_it_is_signed() -> None:
    message = "From: hugh@example.com\nContent-Type: text/plain; charset=utf-8\n\ngrün\n".encode()
    made = smime.sign(message, HUGHS, now=NOW)
    assert made.isascii()
    entity = email.message_from_bytes(verified(made, HUGHS).signed.payload or b"")
    assert str(entity.get_payload(decode=True), "utf-8").splitlines() == ["grün"]
    with pytest.raises(Misuse):
        smime.sign("From: hugh@example.com\nContent-Description: grün\n\nx\n".encode(), HUGHS, now=NOW)


def test_cm_17_the_opaque_form_is_read() -> None:
    entity = b"Content-Type: text/plain\r\n\r\nTwelve.\r\n"
    head = b'From: hugh@example.com\nContent-Type: application/pkcs7-mime; smime-type=%s; name="smime.p7m"\n'
    body = b"Content-Transfer-Encoding: base64\n\n" + base64_lines(signing.sign(entity, HUGHS, now=NOW))
    parsed = verified(head % b"signed-data" + body, HUGHS)
    assert (parsed.signed.payload, parsed.signed.name) == (entity, HUGH)
    with pytest.raises(Malformed, match="not signed"):
        smime.parse(head % b"enveloped-data" + body)


def test_cm_17_a_changed_body_is_a_bad_signature() -> None:
    made = smime.sign(MESSAGE, HUGHS, now=NOW)
    with pytest.raises(BadSignature):
        verified(made.replace(b"Twelve", b"Eleven"), HUGHS)


def test_cm_18_the_from_field_is_a_mailbox_of_the_certificate() -> None:
    made = smime.sign(MESSAGE, HUGHS, now=NOW)
    for sender in (b"Mallory <mallory@evil.example>", b"Hugh@example.com", b'"hugh@example.com" <m@evil.example>'):
        with pytest.raises(Malformed, match="not a mailbox of"):
            smime.parse(made.replace(b"Hugh <hugh@example.com>", sender))
    assert verified(made.replace(b"Hugh <hugh@example.com>", b"h@EXAMPLE.com"), HUGHS).signed.name == (
        MailboxName.parse("h@example.com")
    )
    with pytest.raises(Misuse, match="no verifier"):
        smime.sign(MESSAGE.replace(b"hugh@", b"m@"), HUGHS, now=NOW)


@pytest.mark.parametrize(
    "field",
    [
        b"From: hugh@example.com\nFrom: mallory@evil.example",
        b"From: hugh@example.com, mallory@evil.example",
        b"From: Friends: hugh@example.com;",
        b"From: hugh@example.com (m@evil.example)",
        b"From: <hugh@example.com> <m@evil.example>",
        b"From: hugh@example.com\x00@evil.example",
        b"From:",
        b"From: <>",
    ],
)
def test_cm_18_a_from_field_of_several_or_none_is_refused(field: bytes) -> None:
    made = smime.sign(MESSAGE, HUGHS, now=NOW)
    with pytest.raises(Malformed):
        smime.parse(made.replace(b"From: Hugh <hugh@example.com>", field))


def test_cm_18_without_a_from_field_the_certificate_says_who() -> None:
    only = mailbox_credential("hugh@example.com")
    made = smime.sign(b"Subject: x\n\nhello\n", only, now=NOW)
    assert verified(made, only).signed.name == HUGH
    with pytest.raises(Misuse):
        smime.sign(b"Subject: x\n\nhello\n", HUGHS, now=NOW)


def test_cm_18_a_device_signs_in_its_own_name() -> None:
    for message in (b"Subject: x\n\nhello\n", f"From: Car <alarm@{NAME}>\n\nhello\n".encode()):
        parsed = verified(smime.sign(message, CAR, now=NOW), CAR)
        assert parsed.signed.name == ClientName.parse(NAME)
    with pytest.raises(Misuse, match="no mailbox at"):
        smime.sign(MESSAGE, CAR, now=NOW)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"no header at all",
        b"no field here\n\nbody",
        b"Subject: plain\n\nbody\n",
        b"A: b\n" * (MAX_HEADER_OCTETS // 5 + 1) + b"\n",
        b"Content-Type: multipart/signed\n\nbody",
        HEAD.replace(b"; boundary", b"; other") + b"--x\n\na\n--x\n\nb\n--x--\n",
        HEAD + b"--x\n\na\n--x\n\nb\n",
        HEAD + b"--x\n\na\n--x--\n",
        HEAD + b"--x\n\na\n--x\nContent-Type: text/plain\n\nb\n--x--\n",
        HEAD + b"--x\n\na\n--x\n\nb\n--x\n\nc\n--x--\n",
        HEAD.replace(b"pkcs7", b"pgp") + b"--x\n\na\n--x\n\nb\n--x--\n",
        b"Content-Type: application/pkcs7-mime; smime-type=signed-data\n\nAAAA",
        b"Content-Type: application/pkcs7-mime\nContent-Transfer-Encoding: base64\n\n%%%",
        b"Content-Type: application/pkcs7-mime; smime-type*=utf-8''signed-data\n\nAAAA",
    ],
)
def test_what_is_no_signed_message(message: bytes) -> None:
    with pytest.raises(Malformed):
        smime.parse(message)


def test_a_bare_key_signs_no_mail() -> None:
    with pytest.raises(Misuse, match="certificate"):
        smime.sign(MESSAGE, CAR.as_raw_key(), now=NOW)
