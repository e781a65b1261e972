"""Identity headers: what they say, and which names could be mistaken for one."""

import base64
import datetime as dt
import json
from types import MappingProxyType

import pytest

from dnsbound.errors import LimitExceeded, Misuse
from dnsbound.names import ClientName
from dnsbound.protocols.identity_headers import (
    CLIENT_CERT,
    CLIENT_CERT_CHAIN,
    DOOR,
    GRANTS,
    NAME,
    REASON,
    VALID_UNTIL,
    grants_text,
    identity_headers,
    is_identity_header,
)

CAR54 = ClientName.parse("Car54._device.cars.example")


@pytest.mark.parametrize("name", [NAME, DOOR, GRANTS, VALID_UNTIL, REASON, CLIENT_CERT, CLIENT_CERT_CHAIN])
@pytest.mark.parametrize("mark", [b"-", b"_", b".", b" ", b"\t", b"\x00", b"\xe2"])
def test_rh_04_every_spelling_a_back_end_could_confuse_is_known(name: str, mark: bytes) -> None:
    octets = name.encode().replace(b"-", mark)
    for spelling in (octets, octets.upper(), octets.lower(), octets.swapcase(), mark + octets, octets + mark):
        assert is_identity_header(spelling), spelling


@pytest.mark.parametrize(
    "name",
    [
        b"Dnsbound",
        b"dnsbound-something-new",
        b"X-Forwarded-Client-Cert",
        b"x_client_cert",
        b"X-SSL-Client-S-DN",
        b"SSL_CLIENT_CERT",
        b"ssl-cert",
        b"X-Forwarded-Tls-Client-Cert",
        b"X-Forwarded-Tls-Client-Cert-Info",
        b"X-Amzn-Mtls-Clientcert",
        b"X-ARR-ClientCert",
        b"X-Client-Cert-Chain",
    ],
)
def test_what_else_says_who_a_client_is(name: bytes) -> None:
    assert is_identity_header(name)


@pytest.mark.parametrize(
    "name",
    [
        b"Host",
        b"Accept",
        b"Client",
        b"Client-Certificate-Request",
        b"X-Dnsbound",
        b"Authorization",
        b"Cookie",
        b"",
        b"-",
    ],
)
def test_other_fields_are_not_touched(name: bytes) -> None:
    assert not is_identity_header(name)


def test_rh_01_02_the_leaf_is_a_byte_sequence_and_the_chain_a_list_of_them() -> None:
    fields = dict(
        identity_headers(
            name=CAR54,
            door="api.cars.example",
            grants={},
            valid_until=0.0,
            certificate=b"\x30leaf",
            chain=(b"\x30one", b"\x30two"),
        )
    )
    leaf = fields[b"Client-Cert"]
    assert leaf[:1] == leaf[-1:] == b":"
    assert base64.b64decode(leaf[1:-1], validate=True) == b"\x30leaf"
    chain = [base64.b64decode(each[1:-1], validate=True) for each in fields[b"Client-Cert-Chain"].split(b", ")]
    assert chain == [b"\x30one", b"\x30two"]


def test_rh_03_no_certificate_no_field() -> None:
    fields = identity_headers(name=CAR54, door="api", grants={}, valid_until=0.0)
    assert [name.decode() for name, _ in fields] == [NAME, DOOR, GRANTS, VALID_UNTIL]


def test_what_a_back_end_reads() -> None:
    grants = MappingProxyType({"vlan": 12, "publish": ("devices/%u/#",)})
    fields = dict(identity_headers(name=CAR54, door="api.cars.example", grants=grants, valid_until=1_790_000_000.9))
    assert fields[b"Dnsbound-Name"] == b"car54._device.cars.example"
    assert fields[b"Dnsbound-Door"] == b"api.cars.example"
    assert json.loads(fields[b"Dnsbound-Grants"]) == {"vlan": 12, "publish": ["devices/%u/#"]}
    assert fields[b"Dnsbound-Valid-Until"] == b"2026-09-21T14:13:20Z"


def test_every_field_of_ours_is_one_that_is_removed() -> None:
    fields = identity_headers(name=CAR54, door="api", grants={}, valid_until=0.0, certificate=b"x", chain=(b"y",))
    assert [name for name, _ in fields if not is_identity_header(name)] == []


@pytest.mark.parametrize("evil", ["a\r\nDnsbound-Name: other", "\x7f", "\u2028", "ü", '"', "\x00"])
def test_grants_are_one_line_of_visible_ascii(evil: str) -> None:
    text = grants_text({evil: [evil]})
    assert all("\x20" <= character <= "\x7e" for character in text)
    assert json.loads(text) == {evil: [evil]}


def test_values_of_toml_that_json_has_not() -> None:
    grants = {"from": dt.date(2026, 1, 2), "at": dt.time(3, 4), "n": float("nan"), "i": float("-inf")}
    assert json.loads(grants_text(grants)) == {"from": "2026-01-02", "at": "03:04:00", "n": "nan", "i": "-inf"}


@pytest.mark.parametrize("door", ["", "a b", "a\r\nb", "tür", "\x7f"])
def test_a_door_that_cannot_be_told(door: str) -> None:
    with pytest.raises(Misuse):
        identity_headers(name=CAR54, door=door, grants={}, valid_until=0.0)


def test_grants_too_long_for_a_field() -> None:
    with pytest.raises(LimitExceeded):
        grants_text({"topics": ["x" * 4096]})
