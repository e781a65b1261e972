"""Where encrypted objects and COSE are read."""

from collections.abc import Callable
from functools import cache

from dnsbound.credential.credential import Credential
from dnsbound.credential.encryption_keys import DecryptionKey, encryption_key_from_spki
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.errors import Reason, Refused
from dnsbound.names import ClientName
from dnsbound.objects import cose
from dnsbound.objects.cbor import from_cbor, to_cbor
from dnsbound.objects.cose.cose_key import agreement_key_of, cose_key_of, spki_of_cose_key
from dnsbound.objects.cose.cwt import CwtClaims
from dnsbound.objects.encryption import Opened, Recipient
from dnsbound.objects.jose import jwe, sealed
from dnsbound.objects.jose.jwe_message import JweMessage
from dnsbound.objects.large.cose_content import open_cose
from fuzz.target import Target, text

NOW = 1_790_000_000.0
NAME = ClientName.parse("car54._device.cars.example")
RECEIVER = ClientName.parse("report.gov.example")
PLAIN = b"position 48.137 11.575"


_KINDS = (KeyAlgorithm.P256, KeyAlgorithm.RSA2048)


@cache
def signer() -> Credential:
    return Credential.generate(NAME, now=NOW)


@cache
def keys() -> tuple[DecryptionKey, ...]:
    """Of each way to open: X25519, P-256, RSA."""
    kinds = (Credential.generate(RECEIVER, now=NOW, kind="raw", algorithm=kind) for kind in _KINDS)
    return DecryptionKey.generate(RECEIVER), *map(DecryptionKey.of, kinds)


def recipients() -> list[Recipient]:
    return [Recipient(name=key.name, spki=key.spki) for key in keys()]


def opened_by_any(opening: Callable[[DecryptionKey], Opened]) -> Opened:
    refusal = Refused(Reason.NOT_OPENED)
    for key in keys():
        try:
            return opening(key)
        except Refused as error:
            refusal = error
    raise refusal


def open_jwe(octets: bytes) -> object:
    message = JweMessage.parse(octets)
    assert JweMessage.parse(message.to_json() if len(message.entries) > 1 else octets).entries == message.entries
    return opened_by_any(lambda key: jwe.decrypt(octets, key, danger_unnamed=True))


def read_jwe(octets: bytes) -> object:
    return jwe.recipients_of(JweMessage.parse(octets))


def open_cose_message(octets: bytes) -> object:
    return opened_by_any(lambda key: cose.decrypt(octets, key, danger_unnamed=True))


def letter() -> str:
    return sealed.seal(PLAIN, signer(), recipients()[:1])


def read_sealed(octets: bytes) -> object:
    """What the signed part of a sealed message may be, once somebody has encrypted it to us."""
    opened = Opened(
        plaintext=octets, recipient=RECEIVER, stated_sender=None, content_type="JOSE", algorithm="", encryption=""
    )
    return sealed.signed_part(opened)


def read_cbor(octets: bytes) -> object:
    return from_cbor(octets, "item")


def read_cose_key(octets: bytes) -> object:
    value = from_cbor(octets, "key")
    if isinstance(value, dict) and value.get(-1) == 4:
        return agreement_key_of(value, "key")
    return cose_key_of(spki_of_cose_key(value, "key"))


def several_jwe() -> bytes:
    others = [Recipient(name=ClientName.parse(f"r{n}.gov.example"), spki=key.spki) for n, key in enumerate(keys())]
    return jwe.encrypt(PLAIN, others).encode()


def signed_parts() -> list[bytes]:
    return [
        cose.sign1(PLAIN, signer(), typ="x"),
        cose.sign1(PLAIN, signer().as_raw_key(), claims={1: NAME.text}),
        cose.sign_digest(cose.digest_of(PLAIN), signer()),
        cose.sign_cwt(claims(), signer(), cwt_tag=True),
    ]


def claims() -> CwtClaims:
    return CwtClaims(issuer=NAME, audience=(RECEIVER.text,), expires=NOW + 60, identifier=b"\1")


def read_sign1(octets: bytes) -> object:
    return cose.parse_sign1(octets, typ=cose.ANY_TYP)


def read_token(octets: bytes) -> object:
    return cose.parse_cwt(octets, now=NOW, audience=RECEIVER.text, typ=cose.ANY_TYP)


ENCRYPTION_TARGETS: dict[str, Target] = {
    "jwe": Target(open_jwe, lambda: [jwe.encrypt(PLAIN, [each]).encode() for each in recipients()]),
    "jwe-json": Target(read_jwe, lambda: [several_jwe()]),
    "sealed-part": Target(read_sealed, lambda: [jwe.decrypt(letter(), keys()[0]).plaintext]),
    "cbor": Target(read_cbor, lambda: [to_cbor({1: [b"x", "y", None, True], -2: {"a": -70000}})]),
    "cose-sign1": Target(read_sign1, lambda: signed_parts()[:2]),
    "cose-content": Target(open_cose, signed_parts),
    "cose-hash-envelope": Target(
        lambda octets: cose.parse_hash_envelope(octets, typ=cose.ANY_TYP), lambda: signed_parts()[2:3]
    ),
    "cose-cwt": Target(read_token, lambda: signed_parts()[3:]),
    "cwt-claims": Target(CwtClaims.from_wire, lambda: [claims().to_wire()]),
    "cose-encrypt": Target(open_cose_message, lambda: [cose.encrypt(PLAIN, [each]) for each in recipients()[:2]]),
    "cose-encrypt0": Target(lambda octets: cose.decrypt0(octets, bytes(32)), lambda: [cose.encrypt0(PLAIN, bytes(32))]),
    "cose-key": Target(read_cose_key, lambda: [to_cbor(cose_key_of(signer().spki))]),
    "encryption-key": Target(encryption_key_from_spki, lambda: [key.spki for key in keys()]),
    "encryption-key-file": Target(
        lambda octets: DecryptionKey.from_pem(text(octets).encode()), lambda: [keys()[0].to_pem()]
    ),
}
