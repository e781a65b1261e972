"""Network Access Identifiers (RFC 7542), which are hints and nothing more."""

import pytest

from dnsbound.errors import Malformed
from dnsbound.limits import EAP_IDENTITY_OCTETS
from dnsbound.names import ClientName
from dnsbound.protocols.nai import Nai, anonymous_identity


@pytest.mark.parametrize(
    ("text", "user", "realm"),
    [
        ("@cars.example", "", "cars.example"),
        ("fred@cars.example", "fred", "cars.example"),
        ("fred.smith+net@a.b.cars.example", "fred.smith+net", "a.b.cars.example"),
        ("car54._device.cars.example", "car54._device.cars.example", ""),
        ("cars.example!fred@isp.example", "cars.example!fred", "isp.example"),
        ("\u00e9l\u00e8ve@\u00e9cole.example", "\u00e9l\u00e8ve", "\u00e9cole.example"),
        ("a@3gpp.org", "a", "3gpp.org"),
    ],
)
def test_nai_01_the_grammar(text: str, user: str, realm: str) -> None:
    nai = Nai.parse(text.encode())
    assert (nai.user, nai.realm) == (user, realm)
    assert nai.to_wire() == text.encode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "fred@",
        "@example",
        "fred@example",
        "@cars..example",
        "@.cars.example",
        "@cars.example.",
        "@-cars.example",
        "@cars-.example",
        "@_device.cars.example",
        "@cars example.org",
        "fred@isp.example@cars.example",
        ".fred@cars.example",
        "fred.@cars.example",
        "fr..ed@cars.example",
        "fr ed@cars.example",
        "fred\x00@cars.example",
        "fred\n@cars.example",
        'fred"@cars.example',
        "fred\\@cars.example",
    ],
    ids=ascii,
)
def test_nai_01_what_is_none_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        Nai.parse(text.encode())


@pytest.mark.parametrize(
    "octets", [b"\xff@cars.example", b"\xc3@cars.example", b"a@\xed\xa0\x80.example"], ids=bytes.hex
)
def test_nai_02_octets_that_are_not_utf_8_are_malformed(octets: bytes) -> None:
    with pytest.raises(Malformed):
        Nai.parse(octets)


def test_nai_03_253_octets_and_no_more() -> None:
    fits = b"u" * (EAP_IDENTITY_OCTETS.default - len(b"@cars.example")) + b"@cars.example"
    assert Nai.parse(fits).to_wire() == fits
    with pytest.raises(Malformed):
        Nai.parse(b"u" + fits)


def test_nai_04_realms_are_compared_normalised_and_kept_as_they_came() -> None:
    composed, decomposed = "@\u00c9cole.Example".encode(), "@E\u0301COLE.example".encode()
    assert composed != decomposed
    assert Nai.parse(composed).routing_realm == Nai.parse(decomposed).routing_realm == "\u00e9cole.example"
    for octets in (composed, decomposed):
        assert Nai.parse(octets).to_wire() == octets


@pytest.mark.parametrize(
    ("name", "identity"),
    [
        ("car54._device.cars.example", b"@cars.example"),
        ("sensor._device.plant7.cars.example", b"@plant7.cars.example"),
        ("fred._user.cars.example", b"@cars.example"),
        ("car54.cars.example", b"@cars.example"),
        ("a._b._c.cars.example", b"@cars.example"),
        ("car54._device.example", b""),
        ("cars.example", b""),
    ],
)
def test_et13_13_an_anonymous_identity_says_the_realm_alone(name: str, identity: bytes) -> None:
    assert anonymous_identity(ClientName.parse(name)) == identity
    if identity:
        assert Nai.parse(identity).user == ""
