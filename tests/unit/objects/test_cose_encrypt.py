"""COSE_Encrypt to names: what is encrypted is opened, and what is refused."""

from typing import Any

import pytest
from cbor2 import CBORTag
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from hypothesis import given
from hypothesis import strategies as st

from dnsbound.credential.credential import Credential
from dnsbound.credential.encryption_keys import DecryptionKey, OpeningKey
from dnsbound.edge.object_verifier import ObjectVerifier
from dnsbound.errors import DnsboundError, LimitExceeded, Malformed, Misuse, Reason, Refused
from dnsbound.names import ClientName
from dnsbound.object_limits import ENCRYPTED_RECIPIENTS, OBJECT_OCTETS
from dnsbound.objects import cose
from dnsbound.objects.cbor import from_cbor, to_cbor
from dnsbound.objects.cose.cose_encrypt import EncryptedMessage
from unit.claims import NAME, NOW, Records, answer

GOV = ClientName.parse("report.gov.example")
CITY = ClientName.parse("report.city.example")
PLAIN = b"position 48.137 11.575"
KEYS: dict[str, OpeningKey] = {
    "x25519": x25519.X25519PrivateKey.generate(),
    "p256": ec.generate_private_key(ec.SECP256R1()),
    "p384": ec.generate_private_key(ec.SECP384R1()),
    "p521": ec.generate_private_key(ec.SECP521R1()),
}
SIGNER = Credential.generate(NAME, now=NOW)


def held(kind: str = "x25519", name: ClientName = GOV) -> DecryptionKey:
    return DecryptionKey(name=name, private_key=KEYS[kind])


def recipient(key: DecryptionKey) -> cose.Recipient:
    return cose.Recipient(name=key.name, spki=key.spki)


def reason_of(octets: bytes, key: DecryptionKey, **options: Any) -> Reason:
    with pytest.raises(Refused) as caught:
        cose.decrypt(octets, key, **options)
    return caught.value.reason


def item_of(octets: bytes) -> list[Any]:
    tag = from_cbor(octets, "message")
    assert isinstance(tag.value, list)
    return tag.value


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("plaintext", [b"", PLAIN, bytes(100_000)])
@pytest.mark.parametrize("tagged", [True, False])
def test_cb_14_what_is_encrypted_to_a_name_is_opened_with_its_key(kind: str, plaintext: bytes, tagged: bool) -> None:
    key = held(kind)
    sender = ClientName.parse(NAME)
    octets = cose.encrypt(
        plaintext, [recipient(key)], sender=sender, content_type=50, external_aad=b"context", tagged=tagged
    )
    opened = cose.decrypt(octets, key, external_aad=b"context")
    assert (opened.plaintext, opened.recipient, opened.stated_sender) == (plaintext, GOV, sender)
    assert (opened.content_type, opened.algorithm, opened.encryption) == (50, "ECDH-ES+HKDF-256", "A256GCM")
    assert reason_of(octets, key) is Reason.NOT_OPENED


def test_cb_14_a_message_to_several_is_opened_by_each_and_by_nobody_else() -> None:
    names = [ClientName.parse(f"receiver{number}.gov.example") for number in range(len(KEYS))]
    keys = [held(kind, name) for kind, name in zip(KEYS, names, strict=True)]
    octets = cose.encrypt(PLAIN, [recipient(key) for key in keys])
    for key in keys:
        assert cose.decrypt(octets, key).algorithm == "ECDH-ES+A256KW"
    assert EncryptedMessage.from_wire(octets).recipients == tuple(name.canonical for name in names)
    assert reason_of(octets, held("x25519", GOV)) is Reason.WRONG_RECIPIENT
    assert reason_of(octets, DecryptionKey.generate(names[0])) is Reason.NOT_OPENED


def readdressed(octets: bytes, *, protected: dict[int, Any], unprotected: dict[int, Any]) -> bytes:
    """The message with other headers of its first recipient; None takes one out."""
    item = item_of(octets)
    entry = item[3][0]
    headers = from_cbor(entry[0], "headers") | protected
    entry[0] = to_cbor({label: value for label, value in headers.items() if value is not None})
    entry[1] = {label: value for label, value in (entry[1] | unprotected).items() if value is not None}
    return to_cbor(CBORTag(96, item))


@pytest.mark.parametrize(
    ("protected", "unprotected", "reason"),
    [
        ({-24: CITY.to_wire()}, {}, Reason.WRONG_RECIPIENT),
        ({}, {4: CITY.to_wire()}, Reason.WRONG_RECIPIENT),
        ({-24: None}, {4: None}, Reason.WRONG_RECIPIENT),
        ({-24: None}, {}, Reason.NOT_OPENED),  # the name is part of the key
        ({-21: b"president.gov.example"}, {}, Reason.NOT_OPENED),
        ({}, {-21: b"president.gov.example"}, Reason.NOT_OPENED),
        ({}, {-20: b"salt"}, Reason.NOT_OPENED),
        ({}, {-22: b"nonce"}, Reason.NOT_OPENED),
    ],
)
@pytest.mark.parametrize("several", [False, True])
def test_cb_14_names_go_into_the_key_that_is_derived(
    protected: dict[int, Any], unprotected: dict[int, Any], reason: Reason, several: bool
) -> None:
    others = [recipient(held("p256", ClientName.parse("third.example.net")))] if several else []
    octets = cose.encrypt(PLAIN, [recipient(held()), *others])
    assert reason_of(readdressed(octets, protected=protected, unprotected=unprotected), held()) is reason
    to_city = readdressed(octets, protected={-24: CITY.to_wire()}, unprotected={4: CITY.to_wire()})
    assert reason_of(to_city, held("x25519", CITY)) is Reason.NOT_OPENED


def test_cb_14_a_message_without_a_name_is_tried_where_that_is_asked_for() -> None:
    octets = readdressed(cose.encrypt(PLAIN, [recipient(held())]), protected={-24: None}, unprotected={4: None})
    assert reason_of(octets, held(), danger_unnamed=True) is Reason.NOT_OPENED


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("several", [False, True])
def test_cb_14_what_goes_wrong_behind_the_headers_is_one_refusal(kind: str, several: bool) -> None:
    key = held(kind)
    others = [recipient(held("x25519", CITY))] if several else []
    octets = cose.encrypt(PLAIN, [recipient(key), *others])
    told = set()
    for change in ("ciphertext", "iv", "content type", "wrapped"):
        item = item_of(octets)
        match change:
            case "ciphertext":
                item[2] = item[2][:-1] + bytes([item[2][-1] ^ 1])
            case "iv":
                item[1][5] = bytes(12)
            case "content type":
                item[0] = to_cbor({1: 3, 3: 50})
            case "wrapped":
                if several:
                    item[3][0][2] = bytes(40)
                else:
                    item[1][5] = bytes(range(12))
        with pytest.raises(Refused) as caught:
            cose.decrypt(to_cbor(CBORTag(96, item)), key)
        told.add((caught.value.reason, str(caught.value)))
    assert len(told) == 1
    assert told.pop()[0] is Reason.NOT_OPENED


def test_cb_14_an_ephemeral_key_that_makes_every_secret_the_same_is_refused() -> None:
    item = item_of(cose.encrypt(PLAIN, [recipient(held())]))
    item[3][0][1][-1][-2] = bytes(32)
    assert reason_of(to_cbor(CBORTag(96, item)), held()) is Reason.NOT_OPENED


def changed(path: tuple[int, ...], value: Any) -> bytes:
    """A message to two with one part changed."""
    item = item_of(cose.encrypt(PLAIN, [recipient(held()), recipient(held("p256", CITY))]))
    inner: Any = item
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return to_cbor(CBORTag(96, item))


A, B = to_cbor({1: -25, -24: GOV.to_wire()}), to_cbor({1: -31, -24: GOV.to_wire()})


@pytest.mark.parametrize(
    "octets",
    [
        changed((0,), b""),  # no algorithm
        changed((0,), to_cbor({1: 24})),  # ChaCha20
        changed((0,), to_cbor({1: -7})),
        changed((0,), to_cbor({1: 3, 2: [70000], 70000: 1})),
        changed((0,), to_cbor({1: 3, 3: b"x"})),
        changed((1,), {}),
        changed((1,), {5: bytes(11)}),
        changed((1,), {1: 3, 5: bytes(12)}),
        changed((2,), None),
        changed((2,), bytes(15)),
        changed((3,), []),
        changed((3,), {}),
        changed((3,), [5]),
        changed((3, 0), [b"", {}]),
        changed((3, 0, 2), "x"),
        changed((3, 0, 0), A),  # agrees on the content key, and is not alone
        changed((3, 0, 0), to_cbor({1: -6, -24: GOV.to_wire()})),
        changed((3, 0, 0), to_cbor({1: -41, -24: GOV.to_wire()})),
        changed((3, 0, 0), to_cbor({1: -31, 2: [-70000], -70000: 1, -24: GOV.to_wire()})),
        changed((3, 0, 1, -1), None),
        changed((3, 0, 1, -1), {1: 1, -1: 4, -2: bytes(31)}),
        changed((3, 0, 1, -1), {1: 2, -1: 1, -2: bytes(32), -3: bytes(32)}),
        changed((3, 0, 1, -1), {1: 2, -1: 1, -2: b"\xff" * 32, -3: True}),
        changed((3, 0, 1, -1), {1: 2, -1: 4, -2: bytes(32), -3: True}),
        changed((3, 0, 1, -1), {1: 1, -1: 6, -2: bytes(32)}),
        changed((3, 0, 1, -20), "salt"),
        changed((3, 0, 1, -21), "name"),
        cose.encrypt(PLAIN, [recipient(held())])[2:] + b"\0",
        b"\xd8\x60\xf6",
        b"\xd0\x84\x40\xa0\x40\x80",
    ],
    ids=range(30),
)
def test_cb_14_what_is_no_message(octets: bytes) -> None:
    with pytest.raises(Malformed):
        cose.decrypt(octets, held())


def test_cb_14_what_is_read_is_limited() -> None:
    with pytest.raises(LimitExceeded) as caught:
        cose.decrypt(cose.encrypt(bytes(5000), [recipient(held())]), held(), limit=4096)
    assert caught.value.limit == OBJECT_OCTETS.name
    entry = item_of(cose.encrypt(PLAIN, [recipient(held())]))[3][0]
    with pytest.raises(LimitExceeded) as caught:
        cose.decrypt(changed((3,), [entry] * (ENCRYPTED_RECIPIENTS.default + 1)), held())
    assert caught.value.limit == ENCRYPTED_RECIPIENTS.name


def test_cb_14_a_message_has_recipients_each_once_with_keys_that_agree() -> None:
    key = DecryptionKey(name=GOV, private_key=rsa.generate_private_key(65537, 2048))
    for recipients in ([], [recipient(held()), recipient(held("p256"))], [recipient(key)]):
        with pytest.raises(Misuse):
            cose.encrypt(PLAIN, recipients)


def test_cb_14_with_a_key_that_both_sides_have() -> None:
    key = bytes(range(32))
    octets = cose.encrypt0(PLAIN, key, content_type="text/plain", external_aad=b"x")
    assert octets[:1] == b"\xd0"
    assert cose.decrypt0(octets, key, external_aad=b"x") == PLAIN
    for other, aad in ((bytes(32), b"x"), (key[:16], b"x"), (key, b"")):
        with pytest.raises(Refused) as caught:
            cose.decrypt0(octets, other, external_aad=aad)
        assert caught.value.reason is Reason.NOT_OPENED
    with pytest.raises(Misuse):
        cose.encrypt0(PLAIN, key[:16])
    with pytest.raises(Malformed):
        cose.decrypt0(cose.encrypt(PLAIN, [recipient(held())]), key)


def test_cb_15_a_sealed_message_says_who_sent_it() -> None:
    octets = cose.seal(PLAIN, SIGNER, [recipient(held())], content_type="text/plain")
    signed = cose.open_sealed(octets, held())
    known = Records(answer(NAME, SIGNER.tlsa()))
    verified = ObjectVerifier.expecting([NAME], known, clock=lambda: NOW).verify_blocking(signed)
    assert (verified.name.text, verified.payload, verified.content.content_type) == (NAME, PLAIN, "text/plain")
    assert cose.open_sealed(cose.seal(b"", SIGNER, [recipient(held())]), held()).payload == b""


def test_cb_15_what_was_signed_for_another_is_refused_though_it_opens() -> None:
    """Gov opens what the car sent it, and encrypts the signed part again, to the city."""
    city = held("p256", CITY)
    inner = cose.decrypt(cose.seal(PLAIN, SIGNER, [recipient(held())]), held()).plaintext
    forwarded = cose.encrypt(inner, [recipient(city)], sender=SIGNER.name, content_type=18)
    with pytest.raises(Refused) as caught:
        cose.open_sealed(forwarded, city)
    assert caught.value.reason is Reason.WRONG_AUDIENCE


def test_cb_15_what_is_not_sealed_is_not_taken_for_it() -> None:
    typ = "application/dnsbound-sealed+cose"
    for inner, content_type in (
        (PLAIN, None),
        (PLAIN, 18),
        (cose.sign1(PLAIN, SIGNER), 18),  # of no type
        (cose.sign1(PLAIN, SIGNER, typ=typ), 18),  # for nobody
        (cose.sign1(PLAIN, SIGNER, typ=typ, claims={3: GOV.text}), 18),
        (cose.sign1(PLAIN, SIGNER, typ=typ, claims={3: []}), 18),
    ):
        with pytest.raises(Malformed):
            cose.open_sealed(cose.encrypt(inner, [recipient(held())], content_type=content_type), held())


MESSAGES = [cose.encrypt(PLAIN, [recipient(held(kind))]) for kind in KEYS]


@given(st.sampled_from(MESSAGES), st.integers(0), st.binary(min_size=1, max_size=3))
def test_any_change_gives_an_error_of_ours_or_nothing_new(octets: bytes, place: int, change: bytes) -> None:
    place %= len(octets)
    for key in map(held, KEYS):
        try:
            opened = cose.decrypt(octets[:place] + change + octets[place + len(change) :], key)
        except DnsboundError:
            continue
        assert opened.plaintext == PLAIN
