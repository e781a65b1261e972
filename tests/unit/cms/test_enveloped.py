"""Encrypted CMS messages: each recipient opens them, nobody else, and nothing that was changed is given away."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from dnsbound.credential.credential import Credential
from dnsbound.credential.encryption_keys import DecryptionKey, SignsOnly
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.errors import Malformed, Misuse, Reason, Refused
from dnsbound.names import ClientName
from dnsbound.object_limits import ENCRYPTED_RECIPIENTS
from dnsbound.objects.cms import encoding, enveloped
from dnsbound.objects.encryption import Recipient
from unit.cms.crafting import NAME, NOW

TEXT = b"the garage code is 4711\n"
EC = Credential.generate(NAME, now=NOW)
OTHER = Credential.generate("truck1._device.cars.example", now=NOW)
RSA = Credential.generate("old._device.cars.example", now=NOW, algorithm=KeyAlgorithm.RSA2048)


def to(credential: Credential) -> Recipient:
    assert credential.name is not None
    return Recipient(name=credential.name, spki=credential.spki)


def opened(message: bytes, credential: Credential, *, danger_no_integrity: bool = False) -> bytes:
    key = DecryptionKey.of(credential)
    certificate = credential.chain[0] if credential.chain else None
    found = enveloped.decrypt(message, key, certificate=certificate, danger_no_integrity=danger_no_integrity)
    assert (found.recipient, found.stated_sender) == (credential.name, None)
    return found.plaintext


def test_cm_19_what_is_encrypted_is_opened_by_each_recipient() -> None:
    message = enveloped.encrypt(TEXT, [to(RSA), to(EC), to(OTHER)])
    assert TEXT not in message
    for credential in (EC, OTHER, RSA, EC.as_raw_key()):
        assert opened(message, credential) == TEXT
    assert opened(enveloped.encrypt(b"", [to(EC)]), EC) == b""
    with pytest.raises(Refused) as caught:
        opened(message, Credential.generate(NAME, now=NOW))
    assert caught.value.reason is Reason.WRONG_RECIPIENT


def test_cm_19_nothing_of_a_changed_message_is_given_away() -> None:
    """Every octet of the content's key, of the content and of the tag."""
    message = enveloped.encrypt(TEXT, [to(EC)])
    outcomes = set()
    for position in range(30, len(message)):
        changed = bytearray(message)
        changed[position] ^= 0x01
        try:
            outcomes.add(opened(bytes(changed), EC))
        except (Malformed, Refused) as error:
            outcomes.add(error.reason if isinstance(error, Refused) else None)
    assert outcomes == {Reason.NOT_OPENED, Reason.WRONG_RECIPIENT, None}


def test_keys_that_sign_alone_and_x25519_are_not_encrypted_to() -> None:
    for algorithm in (KeyAlgorithm.ED25519, KeyAlgorithm.MLDSA44):
        with pytest.raises(SignsOnly):
            enveloped.encrypt(TEXT, [to(Credential.generate(NAME, now=NOW, algorithm=algorithm))])
    key = DecryptionKey.generate(NAME)
    with pytest.raises(Misuse, match="X25519"):
        enveloped.encrypt(TEXT, [Recipient(name=key.name, spki=key.spki)])


def test_a_message_has_recipients_and_not_too_many() -> None:
    for recipients in ([], [to(EC)] * (ENCRYPTED_RECIPIENTS.default + 1)):
        with pytest.raises(Misuse):
            enveloped.encrypt(TEXT, recipients)
    other = enveloped.encrypt(TEXT, [to(OTHER)])
    one = encoding.sequence(encoding.integer(0))
    many = encoding.sequence(encoding.integer(0), encoding.element(0x31, *([one] * (ENCRYPTED_RECIPIENTS.default + 1))))
    crafted = encoding.sequence(encoding.identifier(enveloped.AUTH_ENVELOPED_DATA), encoding.explicit(0, many))
    with pytest.raises(Malformed, match="recipients"):
        opened(crafted, EC)
    with pytest.raises(Refused) as caught:
        opened(other, EC)
    assert caught.value.reason is Reason.WRONG_RECIPIENT


def test_cm_20_a_message_without_integrity_is_not_opened() -> None:
    """What mail programs write: AES-CBC, whose text whoever carries it can change (EFAIL)."""
    certificate = x509.load_der_x509_certificate(RSA.chain[0])
    builder = pkcs7.PKCS7EnvelopeBuilder().set_data(TEXT).set_content_encryption_algorithm(AES256)
    message = builder.add_recipient(certificate).encrypt(Encoding.DER, [pkcs7.PKCS7Options.Binary])
    with pytest.raises(Malformed, match="EnvelopedData"):
        opened(message, RSA)
    assert opened(message, RSA, danger_no_integrity=True) == TEXT
    with pytest.raises(Refused) as caught:
        opened(message, EC, danger_no_integrity=True)
    assert caught.value.reason is Reason.WRONG_RECIPIENT


def test_cm_20_an_intact_message_is_not_opened_as_one_without_integrity() -> None:
    """Who turns AES-GCM into AES-CBC, to learn the text from what becomes of it, gets no further than the type."""
    message = enveloped.encrypt(TEXT, [to(EC)])
    renamed = message.replace(
        encoding.identifier(enveloped.AUTH_ENVELOPED_DATA), encoding.identifier(enveloped.ENVELOPED_DATA)
    )
    with pytest.raises(Malformed):
        opened(renamed, EC)


def test_names_of_recipients_are_not_in_the_message() -> None:
    assert ClientName.parse(NAME).to_wire() not in enveloped.encrypt(TEXT, [to(EC)])
