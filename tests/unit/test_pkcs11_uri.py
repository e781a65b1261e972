"""PKCS #11 URIs (RFC 7512): read strictly, written back as they were meant."""

import pytest

from dnsbound.credential.pkcs11_uri import MAX_CHARACTERS, Pkcs11Uri
from dnsbound.errors import Malformed

WHOLE = Pkcs11Uri(
    token="Cars; 50%/ü",
    manufacturer="Snake Oil, Inc.",
    model="1.0",
    serial="00ff",
    slot_id=3,
    object="car54 & co",
    id=b"\x00\xff;1",
    module_path="/usr/lib/softhsm/libsofthsm2.so",
    pin_source="/etc/pin & more?",
)


def test_what_is_written_is_read_back() -> None:
    assert Pkcs11Uri.parse(WHOLE.to_text()) == WHOLE
    assert Pkcs11Uri.parse("pkcs11:") == Pkcs11Uri()
    assert Pkcs11Uri().to_text() == "pkcs11:"
    assert str(Pkcs11Uri(token="a", id=b"\1")) == "pkcs11:token=a;id=%01"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        # Of RFC 7512 section 3, as far as they speak of a private key and hold no PIN.
        ("pkcs11:object=my-pubkey;type=private", Pkcs11Uri(object="my-pubkey")),
        ("pkcs11:id=%69%95%3E%5C%F4%BD%EC%91", Pkcs11Uri(id=bytes.fromhex("69953e5cf4bdec91"))),
        (
            (
                "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;"
                "model=1.0;object=my-certificate;type=private;serial=?pin-source=file:/etc/token_pin"
            ),
            Pkcs11Uri(
                token="The Software PKCS#11 Softtoken",
                manufacturer="Snake Oil, Inc.",
                model="1.0",
                object="my-certificate",
                serial="",
                pin_source="/etc/token_pin",
            ),
        ),
        ("pkcs11:slot-id=327", Pkcs11Uri(slot_id=327)),
        ("pkcs11:?pin-source=/run/pin", Pkcs11Uri(pin_source="/run/pin")),
        ("pkcs11:?pin-source=file:///run/pin", Pkcs11Uri(pin_source="/run/pin")),
        ("pkcs11:token=%c3%bc", Pkcs11Uri(token="ü")),
        ("pkcs11:object=a&b=c", Pkcs11Uri(object="a&b=c")),
    ],
)
def test_examples(text: str, meant: Pkcs11Uri) -> None:
    assert Pkcs11Uri.parse(text) == meant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PKCS11:token=a",
        "file:/etc/passwd",
        "pkcs11:token",
        "pkcs11:token=a;",
        "pkcs11:;token=a",
        "pkcs11:token=a;token=a",
        "pkcs11:Token=a",
        "pkcs11:x-vendor=a",
        "pkcs11:library-version=3",
        "pkcs11:token=a b",
        "pkcs11:token=a%2",
        "pkcs11:token=a%zz",
        "pkcs11:token=a/b",
        "pkcs11:token=ü",
        "pkcs11:token=%ff",
        "pkcs11:token=a%00b",
        "pkcs11:type=cert",
        "pkcs11:type=public",
        "pkcs11:slot-id=-1",
        "pkcs11:slot-id=0x1",
        "pkcs11:slot-id=",
        "pkcs11:token=a?pin-value=1234",
        "pkcs11:pin-value=1234",
        "pkcs11:token=a?pin-source=|cat",
        "pkcs11:token=a?pin-source=relative",
        "pkcs11:token=a?pin-source=https://example/pin",
        "pkcs11:token=a?module-name=softhsm2",
        "pkcs11:token=a?module-path=libevil.so",
        "pkcs11:token=a?module-path=/a&module-path=/b",
        "pkcs11:token=a?pin-source=/a?pin-source=/b&",
        "pkcs11:object=" + "a" * MAX_CHARACTERS,
    ],
)
def test_what_is_not_understood_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        Pkcs11Uri.parse(text)


def test_a_pin_in_a_uri_is_not_repeated() -> None:
    with pytest.raises(Malformed) as refused:
        Pkcs11Uri.parse("pkcs11:token=a?pin-value=geheim")
    assert "geheim" not in str(refused.value)
