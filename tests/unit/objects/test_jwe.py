"""JWE to names: what is encrypted is opened, and what is refused."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from hypothesis import given
from hypothesis import strategies as st

from dnsbound.credential.credential import Credential
from dnsbound.credential.encryption_keys import DecryptionKey, OpeningKey
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.errors import DnsboundError, LimitExceeded, Malformed, Misuse, Reason, Refused
from dnsbound.names import ClientName
from dnsbound.object_limits import ENCRYPTED_RECIPIENTS, OBJECT_HEADER_OCTETS, OBJECT_OCTETS
from dnsbound.objects.encryption import Recipient
from dnsbound.objects.jose import base64url, jwe, sealed
from dnsbound.objects.jose.content_encryption import CONTENT
from dnsbound.objects.jose.jwe_message import JweMessage
from unit.claims import NAME, NOW, Records, answer

GOV = ClientName.parse("report.gov.example")
CITY = ClientName.parse("report.city.example")
PLAIN = b"position 48.137 11.575"
RSA_KEY = rsa.generate_private_key(65537, 2048)
KEYS: dict[str, OpeningKey] = {
    "x25519": x25519.X25519PrivateKey.generate(),
    "p256": ec.generate_private_key(ec.SECP256R1()),
    "p384": ec.generate_private_key(ec.SECP384R1()),
    "p521": ec.generate_private_key(ec.SECP521R1()),
    "rsa": RSA_KEY,
}


def held(kind: str = "x25519", name: ClientName = GOV) -> DecryptionKey:
    return DecryptionKey(name=name, private_key=KEYS[kind])


def recipient(key: DecryptionKey) -> Recipient:
    return Recipient(name=key.name, spki=key.spki)


def b64(value: object) -> str:
    octets = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64url.encode(octets).decode()


def with_header(token: str, **members: Any) -> str:
    """The token with other members in its protected header; None takes one out."""
    header, _, rest = token.partition(".")
    found = json.loads(base64url.decode(header.encode(), "header")) | members
    return f"{b64({name: value for name, value in found.items() if value is not None})}.{rest}"


def reason_of(token: str | bytes, key: DecryptionKey, **options: Any) -> Reason:
    with pytest.raises(Refused) as caught:
        jwe.decrypt(token, key, **options)
    return caught.value.reason


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("plaintext", [b"", PLAIN, bytes(100_000)])
def test_je_01_what_is_encrypted_to_a_name_is_opened_with_its_key(kind: str, plaintext: bytes) -> None:
    key = held(kind)
    token = jwe.encrypt(plaintext, [recipient(key)], sender=ClientName.parse(NAME), cty="text/plain")
    opened = jwe.decrypt(token, key)
    assert (opened.plaintext, opened.recipient, opened.content_type) == (plaintext, GOV, "text/plain")
    assert opened.stated_sender == (None if kind == "rsa" else ClientName.parse(NAME))
    assert opened.algorithm == ("RSA-OAEP-256" if kind == "rsa" else "ECDH-ES")
    assert token.count(".") == 4


def test_je_01_a_message_to_several_is_opened_by_each_and_by_nobody_else() -> None:
    names = [ClientName.parse(f"receiver{number}.gov.example") for number in range(len(KEYS))]
    keys = [held(kind, name) for kind, name in zip(KEYS, names, strict=True)]
    token = jwe.encrypt(PLAIN, [recipient(key) for key in keys])
    for key in keys:
        assert jwe.decrypt(token, key).plaintext == PLAIN
    assert json.loads(token)["recipients"][0]["header"]["alg"] == "ECDH-ES+A256KW"
    assert reason_of(token, held("x25519", GOV)) is Reason.WRONG_RECIPIENT
    assert reason_of(token, DecryptionKey.generate(names[0])) is Reason.NOT_OPENED
    assert jwe.recipients_of(JweMessage.parse(token)) == tuple(name.canonical for name in names)


def test_je_01_the_flattened_form_is_read_whatever_its_white_space() -> None:
    """The protected header is authenticated as it came: not written again, as some libraries do."""
    key = held()
    header, *parts = jwe.encrypt(PLAIN, [recipient(key)]).split(".")
    names = ("encrypted_key", "iv", "ciphertext", "tag")
    flattened = {"protected": header} | dict(zip(names, parts, strict=True))
    assert jwe.decrypt(json.dumps(flattened, indent=2), key).plaintext == PLAIN
    del flattened["encrypted_key"]
    assert jwe.decrypt(json.dumps(flattened), key).plaintext == PLAIN


def test_je_02_names_go_into_the_key_that_is_derived() -> None:
    """Whoever changes for whom, or from whom, a message is makes it another key's."""
    key = held()
    city = held("x25519", CITY)
    several = json.loads(jwe.encrypt(PLAIN, [recipient(key), recipient(held("p256", CITY))]))
    header = several["recipients"][0]["header"]
    header |= {"kid": CITY.text, "apv": b64(CITY.to_wire())}
    del several["recipients"][1]
    assert reason_of(json.dumps(several), city) is Reason.NOT_OPENED
    header |= {"kid": GOV.text, "apv": b64(GOV.to_wire()), "apu": b64(b"president.gov.example")}
    assert reason_of(json.dumps(several), key) is Reason.NOT_OPENED
    del header["apu"]
    assert jwe.decrypt(json.dumps(several), key).plaintext == PLAIN


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"apv": b64(CITY.to_wire())}, Reason.WRONG_RECIPIENT),
        ({"kid": CITY.text}, Reason.WRONG_RECIPIENT),
        ({"x5u": f"dns:{CITY}?type=TLSA"}, Reason.WRONG_RECIPIENT),
        ({"kid": None, "apv": None}, Reason.WRONG_RECIPIENT),
        ({"kid": None}, Reason.NOT_OPENED),  # named, and changed
        ({"kid": GOV.text.upper()}, Reason.NOT_OPENED),
    ],
)
def test_je_03_every_way_of_naming_the_recipient_must_name_us(members: dict[str, Any], reason: Reason) -> None:
    key = held()
    assert reason_of(with_header(jwe.encrypt(PLAIN, [recipient(key)]), **members), key) is reason


def test_je_03_a_message_to_nobody_is_tried_where_that_is_asked_for() -> None:
    key = held("rsa")
    made = json.loads(jwe.encrypt(PLAIN, [recipient(key), recipient(held("p256", CITY))]))
    del made["recipients"][0]["header"]["kid"]
    token = json.dumps(made)
    assert reason_of(token, key) is Reason.WRONG_RECIPIENT
    assert jwe.decrypt(token, key, danger_unnamed=True).plaintext == PLAIN


@pytest.mark.parametrize(
    "algorithm", ["dir", "A256KW", "RSA1_5", "RSA-OAEP", "PBES2-HS256+A128KW", "A256GCMKW", "ECDH-1PU", "none", 5, None]
)
def test_je_04_algorithms_that_are_not_used_are_refused(algorithm: object) -> None:
    for kind in ("x25519", "rsa"):
        with pytest.raises(Malformed):
            jwe.decrypt(with_header(jwe.encrypt(PLAIN, [recipient(held(kind))]), alg=algorithm), held(kind))


@pytest.mark.parametrize("encryption", ["A256CBC", "C20P", "none", 256, None, ["A256GCM"]])
def test_je_04_content_encryption_that_is_not_used_is_refused(encryption: object) -> None:
    with pytest.raises(Malformed):
        jwe.decrypt(with_header(jwe.encrypt(PLAIN, [recipient(held())]), enc=encryption), held())


@pytest.mark.parametrize("members", [{"zip": "DEF"}, {"crit": ["exp"]}, {"crit": []}, {"p2c": 1}, {"p2s": "AA"}])
def test_je_05_compression_extensions_and_passwords_are_refused(members: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        jwe.decrypt(with_header(jwe.encrypt(PLAIN, [recipient(held())]), **members), held())


def general(**changes: Any) -> str:
    made = json.loads(jwe.encrypt(PLAIN, [recipient(held()), recipient(held("p256", CITY))]))
    made |= changes
    return json.dumps({name: value for name, value in made.items() if value is not None})


@pytest.mark.parametrize(
    "token",
    [
        general(unprotected={"enc": "A256GCM"}),  # in two places
        general(unprotected={"kid": "x"}),
        general(protected=b64({"typ": "JWE"}), unprotected={"enc": "A256GCM"}),  # enc is not protected
        general(header={"kid": "x"}),  # both forms at once
        general(recipients=[]),
        general(recipients={}),
        general(recipients=[5]),
        general(recipients=[{"header": 5}]),
        general(recipients=[{"encrypted_key": 5}]),
        general(unprotected=5),
        general(protected=None),
        general(protected="é"),
        general(protected=b64([])),
        general(protected=b64(b'{"enc":"A256GCM","enc":"A256GCM"}')),
        general(iv=None),
        general(iv="="),
        general(aad="é"),
        general(aad="A"),
        general(more=1),
        general()[:-1],
        "",
        "a.b.c.d",
        "a.b.c.d.e.f",
        "é.b.c.d.e",
        "[]",
        "\ud800",
    ],
    ids=range(26),
)
def test_je_06_what_has_two_readings_or_none_is_refused(token: str) -> None:
    with pytest.raises(Malformed):
        jwe.decrypt(token, held())


def test_je_06_additional_data_are_authenticated() -> None:
    made = general(aad=b64(b"x"))
    assert reason_of(made, held()) is Reason.NOT_OPENED


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("several", [False, True])
def test_je_07_what_goes_wrong_behind_the_headers_is_one_refusal(kind: str, several: bool) -> None:
    """Key, padding, tag, nonce, length: nothing tells them apart."""
    key = held(kind)
    others = [recipient(held("p256", CITY))] if several else []
    message = JweMessage.parse(jwe.encrypt(PLAIN, [recipient(key), *others]))
    content = message.content
    entry = message.entries[0]
    changed: list[JweMessage] = []
    for field in content._fields:
        octets = getattr(content, field)
        others_of_it = (bytes([octets[0] ^ 1]) + octets[1:], octets[:-1], b"", octets + b"\0")
        changed += [replaced(message, content=content._replace(**{field: other})) for other in others_of_it]
    if entry.encrypted_key:
        for other in (entry.encrypted_key[:-1] + b"\0\1", entry.encrypted_key[:-8], b"", bytes(40)):
            mine = type(entry)(header=entry.header, encrypted_key=other)
            changed.append(replaced(message, entries=(mine, *message.entries[1:])))
    told = set()
    for each in changed:
        with pytest.raises(Refused) as caught:
            jwe.decrypt(each.to_json() if several else each.to_compact(), key)
        told.add((caught.value.reason, str(caught.value)))
    assert len(told) == 1
    assert told.pop()[0] is Reason.NOT_OPENED


def replaced(message: JweMessage, **fields: Any) -> JweMessage:
    known = {
        "protected": message.protected,
        "protected_text": message.protected_text,
        "entries": message.entries,
        "content": message.content,
    }
    return JweMessage(**(known | fields))


@pytest.mark.parametrize("cipher", CONTENT.values(), ids=lambda cipher: cipher.name)
def test_je_07_every_cipher_refuses_what_was_changed_the_same_way(cipher: Any) -> None:
    key = bytes(range(cipher.key_octets))
    made = cipher.encrypt(key, PLAIN, b"header")
    assert cipher.decrypt(key, made, b"header") == PLAIN
    for content, authenticated in (
        (made, b"Header"),
        (made._replace(tag=made.tag[:-1]), b"header"),
        (made._replace(iv=made.iv[:-1]), b"header"),
        (made._replace(ciphertext=made.ciphertext[:-1]), b"header"),
        (made._replace(ciphertext=b""), b"header"),
    ):
        with pytest.raises(Refused) as caught:
            cipher.decrypt(key, content, authenticated)
        assert caught.value.reason is Reason.NOT_OPENED
    with pytest.raises(Refused):
        cipher.decrypt(key[:-1], made, b"header")


BAD_KEYS: list[object] = [
    None,
    5,
    {},
    {"kty": "OKP", "crv": "X25519", "x": b64(bytes(31))},
    {"kty": "OKP", "crv": "Ed25519", "x": b64(bytes(32))},
    {"kty": "OKP", "crv": "X25519", "x": b64(bytes(32)), "d": b64(bytes(32))},
    {"kty": "EC", "crv": "P-256", "x": b64(bytes(32)), "y": b64(bytes(32))},
    {"kty": "RSA", "n": b64(b"\1" * 256), "e": "AQAB"},
    {"kty": "oct", "k": "AA"},
]


@pytest.mark.parametrize("epk", BAD_KEYS)
def test_je_07_an_ephemeral_key_that_is_none_is_malformed(epk: object) -> None:
    for kind in ("x25519", "p256"):
        with pytest.raises(Malformed):
            jwe.decrypt(with_header(jwe.encrypt(PLAIN, [recipient(held(kind))]), epk=epk), held(kind))


def test_je_07_an_ephemeral_key_that_makes_every_secret_the_same_is_refused() -> None:
    zero = {"kty": "OKP", "crv": "X25519", "x": b64(bytes(32))}
    assert reason_of(with_header(jwe.encrypt(PLAIN, [recipient(held())]), epk=zero), held()) is Reason.NOT_OPENED


def test_je_07_a_message_to_another_key_of_ours_is_not_opened() -> None:
    """A name may have a key of each kind: which one it was is not the sender's mistake."""
    for kind in KEYS:
        token = jwe.encrypt(PLAIN, [recipient(held(kind))])
        assert {reason_of(token, held(other)) for other in KEYS if other != kind} == {Reason.NOT_OPENED}


def test_je_08_what_is_read_is_limited() -> None:
    key = held()
    token = jwe.encrypt(bytes(2000), [recipient(key)])
    with pytest.raises(LimitExceeded) as caught:
        jwe.decrypt(token, key, limit=1024)
    assert caught.value.limit == OBJECT_OCTETS.name
    with pytest.raises(LimitExceeded) as caught:
        jwe.decrypt(with_header(token, more="x" * OBJECT_HEADER_OCTETS.default), key)
    assert caught.value.limit == OBJECT_HEADER_OCTETS.name
    many = json.loads(general())
    many["recipients"] *= ENCRYPTED_RECIPIENTS.default
    with pytest.raises(LimitExceeded) as caught:
        jwe.decrypt(json.dumps(many), key)
    assert caught.value.limit == ENCRYPTED_RECIPIENTS.name


def test_je_08_a_message_has_recipients_each_once() -> None:
    for recipients in ([], [recipient(held()), recipient(held("p256"))]):
        with pytest.raises(Misuse):
            jwe.encrypt(PLAIN, recipients)


SIGNER = Credential.generate(NAME, now=NOW)


def test_je_09_a_sealed_message_says_who_sent_it() -> None:
    from dnsbound.edge.object_verifier import ObjectVerifier

    key = held()
    token = sealed.seal(PLAIN, SIGNER, [recipient(key)], content_type="text/plain")
    assert SIGNER.name is not None
    assert SIGNER.name.text not in base64url.decode(token.split(".")[3].encode(), "ciphertext").decode("latin-1")
    signed = sealed.open_sealed(token, key)
    verifier = ObjectVerifier.expecting([NAME], Records(answer(NAME, SIGNER.tlsa())), clock=lambda: NOW)
    verified = verifier.verify_blocking(signed)
    assert (verified.name.text, verified.payload) == (NAME, PLAIN)
    assert verified.content.members["cty"] == "text/plain"


def test_je_09_what_was_signed_for_another_is_refused_though_it_opens() -> None:
    """Gov opens what the car sent it, and encrypts the signed part again, to the city."""
    gov, city = held(), held("p256", CITY)
    inner = jwe.decrypt(sealed.seal(PLAIN, SIGNER, [recipient(gov)]), gov).plaintext
    forwarded = jwe.encrypt(inner, [recipient(city)], sender=SIGNER.name, cty=sealed.CTY)
    with pytest.raises(Refused) as caught:
        sealed.open_sealed(forwarded, city)
    assert caught.value.reason is Reason.WRONG_AUDIENCE


def test_je_09_what_is_not_sealed_is_not_taken_for_it() -> None:
    from dnsbound.objects.jose.jws import sign

    key = held()
    for token in (
        jwe.encrypt(PLAIN, [recipient(key)]),
        jwe.encrypt(PLAIN, [recipient(key)], cty="JOSE"),
        jwe.encrypt(sign(PLAIN, SIGNER).encode(), [recipient(key)], cty="JOSE"),  # of no type
        jwe.encrypt(sign(PLAIN, SIGNER, typ=sealed.TYP).encode(), [recipient(key)], cty="JOSE"),  # for nobody
        jwe.encrypt(
            sign(PLAIN, SIGNER, typ=sealed.TYP, header={"aud": GOV.text}).encode(), [recipient(key)], cty="JOSE"
        ),
    ):
        with pytest.raises(Malformed):
            sealed.open_sealed(token, key)
    with pytest.raises(Misuse):
        sealed.seal(b"", SIGNER, [recipient(key)])


def test_je_12_the_form_of_earlier_tools_is_opened() -> None:
    """RSA-OAEP-256, A256CBC-HS512, the recipient as x5u with the name where a server would stand."""
    from dnsbound.objects.jose.strict_json import write_object

    key = held("rsa")
    header = {"alg": "RSA-OAEP-256", "enc": "A256CBC-HS512", "typ": "JWE", "x5u": f"dns://{GOV}?type=TLSA"}
    text = base64url.encode(write_object(header))
    content_key = bytes(range(64))
    parts = CONTENT["A256CBC-HS512"].encrypt(content_key, PLAIN, text)
    wrapped = RSA_KEY.public_key().encrypt(content_key, jwe._OAEP)
    token = b".".join((text, *map(base64url.encode, (wrapped, *parts))))
    opened = jwe.decrypt(token, key)
    assert (opened.plaintext, opened.encryption) == (PLAIN, "A256CBC-HS512")
    assert reason_of(token, held("rsa", CITY)) is Reason.WRONG_RECIPIENT


@pytest.mark.parametrize("kind", [KeyAlgorithm.ED25519, KeyAlgorithm.MLDSA44])
def test_je_11_keys_that_sign_alone_are_refused(kind: KeyAlgorithm) -> None:
    credential = Credential.generate(NAME, now=NOW, algorithm=kind, kind="raw")
    assert credential.name is not None
    with pytest.raises(Misuse):
        jwe.encrypt(PLAIN, [Recipient(name=credential.name, spki=credential.spki)])
    with pytest.raises(Misuse):
        DecryptionKey.of(credential)


TOKENS = [jwe.encrypt(PLAIN, [recipient(held(kind))]) for kind in KEYS] + [general()]


@given(st.sampled_from(TOKENS), st.integers(0), st.binary(max_size=3))
def test_any_change_gives_an_error_of_ours_or_nothing_new(token: str, place: int, change: bytes) -> None:
    octets = token.encode()
    place %= len(octets)
    for key in map(held, KEYS):
        try:
            opened = jwe.decrypt(octets[:place] + change + octets[place + len(change) :], key)
        except DnsboundError:
            continue
        assert opened.plaintext == PLAIN
