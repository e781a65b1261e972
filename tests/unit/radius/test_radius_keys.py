"""MS-MPPE keys and EAP-Key-Name: what RFC 2548 computes, and what is no key."""

import hashlib

import pytest

from dnsbound.errors import Malformed, Misuse
from dnsbound.iana import RadiusAttribute, RadiusCode
from dnsbound.protocols.radius import answer_to, read_answer
from dnsbound.protocols.radius_keys import eap_key_name, mppe_keys, read_mppe_keys, salts_from
from unit.radius_requests import AUTHENTICATOR, EAP, SECRET, access_request, asked

MSK = bytes(range(64))
SALTS = (b"\x80\x01", b"\xff\xfe")
KEYS = mppe_keys(MSK, AUTHENTICATOR, SECRET, SALTS)


def by_the_formulas(key: bytes, salt: bytes) -> bytes:
    """RFC 2548 section 2.4.2, written down once more: b(i) = MD5(S + c(i-1)), c(i) = p(i) xor b(i)."""
    plain = bytes([len(key)]) + key + bytes(15)
    cipher = []
    for at in range(0, 48, 16):
        hashed = hashlib.md5(SECRET + (bytes(cipher[at - 16 : at]) if at else AUTHENTICATOR + salt)).digest()
        cipher += [plain[at + index] ^ hashed[index] for index in range(16)]
    return salt + bytes(cipher)


def test_mppe_01_vendor_311_types_17_and_16() -> None:
    for (number, value), inner in zip(KEYS, (17, 16), strict=True):
        assert number == RadiusAttribute.VENDOR_SPECIFIC
        assert value[:4] == (311).to_bytes(4, "big")
        assert value[4] == inner
        assert value[5] == len(value) - 4 == 52


def test_mppe_02_salts_have_their_first_bit_and_differ() -> None:
    assert salts_from(b"\0\1\0\1") == (b"\x80\1", b"\x80\0")
    assert salts_from(b"\x7f\1\xff\1") == (b"\xff\1", b"\xff\0")
    assert salts_from(b"\1\2\3\4") == (b"\x81\2", b"\x83\4")
    with pytest.raises(Misuse):
        salts_from(b"\1\2\3")
    for salts in ((b"\x80\0", b"\x80\0"), (b"\x7f\0", b"\x80\0"), (b"\x80\0", b"\x80")):
        with pytest.raises(Misuse):
            mppe_keys(MSK, AUTHENTICATOR, SECRET, salts)


def test_mppe_03_the_ciphertext_of_the_formulas() -> None:
    assert KEYS[0][1][6:] == by_the_formulas(MSK[:32], SALTS[0])
    assert KEYS[1][1][6:] == by_the_formulas(MSK[32:], SALTS[1])


def test_mppe_04_the_keys_come_back_from_an_answer() -> None:
    answer = answer_to(asked(), RadiusCode.ACCESS_ACCEPT, (*EAP, *KEYS), SECRET)
    keys = read_mppe_keys(read_answer(answer, access_request(), SECRET).attributes, AUTHENTICATOR, SECRET)
    assert keys is not None
    assert (keys.recv, keys.send) == (MSK[:32], MSK[32:])
    assert "recv" not in repr(keys)


def test_mppe_04_both_in_one_vendor_specific_beside_other_vendors() -> None:
    both = KEYS[0][1] + b"\x1a\4ab" + KEYS[1][1][4:]
    attributes = ((26, b"\0\0\0\x09\1\3a"), (26, both), (1, b"a"))
    keys = read_mppe_keys(attributes, AUTHENTICATOR, SECRET)
    assert keys is not None
    assert keys.send == MSK[32:]
    assert read_mppe_keys(attributes[:1], AUTHENTICATOR, SECRET) is None


def test_mppe_04_what_is_no_pair_of_keys() -> None:
    microsoft = (311).to_bytes(4, "big")
    for attributes in (
        KEYS[:1],
        KEYS + KEYS,
        *(((26, microsoft + broken), KEYS[1]) for broken in (b"\x11", b"\x11\1", b"\x11\xff", b"\x11\2", b"\x11\5abc")),
        ((26, microsoft + b"\x11\x14\x7f\0" + bytes(16)), KEYS[1]),
    ):
        with pytest.raises(Malformed):
            read_mppe_keys(attributes, AUTHENTICATOR, SECRET)


def test_mppe_04_with_another_secret_or_request_there_is_no_key() -> None:
    """The length octet and the padding give it away, but once in some 2^120 times."""
    with pytest.raises(Malformed):
        read_mppe_keys(KEYS, AUTHENTICATOR, b"another secret")
    with pytest.raises(Malformed):
        read_mppe_keys(KEYS, bytes(16), SECRET)


def test_an_msk_has_64_octets() -> None:
    with pytest.raises(Misuse):
        mppe_keys(MSK[:32], AUTHENTICATOR, SECRET, SALTS)


def test_mppe_05_the_name_of_the_keys_for_who_asks() -> None:
    session_id = b"\x0d" + bytes(64)
    asking = asked((*EAP, (RadiusAttribute.EAP_KEY_NAME, b"\0")))
    assert eap_key_name(asking, session_id) == ((RadiusAttribute.EAP_KEY_NAME, session_id),)
    assert eap_key_name(asked(), session_id) == ()
    for wrong in (b"", bytes(254)):
        with pytest.raises(Misuse):
            eap_key_name(asking, wrong)
