"""CMS as strangers send it: signed messages in DER, streamed BER and PEM, mail messages, encrypted messages."""

from functools import cache

from dnsbound.credential.credential import Credential
from dnsbound.credential.encryption_keys import DecryptionKey
from dnsbound.credential.keys import KeyAlgorithm, public_key_from_spki
from dnsbound.names import MailboxName
from dnsbound.objects.cms import enveloped, octets_of, parse, sign, smime, to_pem
from dnsbound.objects.encryption import Recipient
from dnsbound.objects.large.cms_content import open_cms
from fuzz.target import Target, text

NOW = 1_790_000_000.0
NAME = "car54._device.cars.example"
PAYLOAD = b"twelve kilometres\n"


@cache
def credential(algorithm: KeyAlgorithm = KeyAlgorithm.P256) -> Credential:
    return Credential.generate(NAME, now=NOW, algorithm=algorithm)


def check_signed(octets: bytes) -> object:
    signed = parse(octets_of(octets), content=None)
    signed.check(public_key_from_spki(signed.presented.spki))
    return signed


def signed_messages() -> list[bytes]:
    made = [sign(PAYLOAD, credential(algorithm), now=NOW) for algorithm in (KeyAlgorithm.P256, KeyAlgorithm.RSA2048)]
    return [*made, streamed(made[0]), to_pem(made[0])]


def streamed(message: bytes) -> bytes:
    """The same with an outermost length that is not said."""
    return b"\x30\x80" + message[4:] + b"\x00\x00"


def check_mail(octets: bytes) -> object:
    signed = smime.parse(octets).signed
    signed.check(public_key_from_spki(signed.presented.spki))
    return signed


def mail() -> list[bytes]:
    return [smime.sign(b"Subject: x\n\nhello\n", credential(), now=NOW)]


def opened(octets: bytes) -> object:
    own = credential()
    return enveloped.decrypt(octets, DecryptionKey.of(own), certificate=own.chain[0], danger_no_integrity=True)


def encrypted() -> list[bytes]:
    own = credential()
    assert own.name is not None
    return [enveloped.encrypt(PAYLOAD, [Recipient(name=own.name, spki=own.spki)])]


CMS_TARGETS = {
    "cms-signed": Target(check_signed, signed_messages),
    "cms-detached": Target(open_cms, lambda: [sign(PAYLOAD, credential(), now=NOW, detached=True)]),
    "cms-mail": Target(check_mail, mail),
    "cms-encrypted": Target(opened, encrypted),
    "mailbox": Target(lambda octets: MailboxName.parse(text(octets)), lambda: [b"hugh@example.com"]),
}
