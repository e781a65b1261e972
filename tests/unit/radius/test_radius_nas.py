"""Where a request says that the client is, in the spellings of access servers in use."""

import pytest

from dnsbound.errors import Malformed
from dnsbound.iana import RadiusAttribute
from dnsbound.protocols.radius_nas import CalledStation, NasFacts, canonical_station
from unit.radius_requests import EAP, asked

MAC = "00-1A-2B-3C-4D-5E"
SPELLINGS = [
    "00-1A-2B-3C-4D-5E",
    "00-1a-2b-3c-4d-5e",
    "00:1A:2B:3C:4D:5E",
    "00.1a.2b.3c.4d.5e",
    "001a.2b3c.4d5e",
    "001A-2B3C-4D5E",
    "001a:2b3c:4d5e",
    "001A2B-3C4D5E",
    "001A2B3C4D5E",
]


@pytest.mark.parametrize("spelled", SPELLINGS)
def test_r1x_03_the_network_behind_the_address(spelled: str) -> None:
    station = CalledStation.parse(f"{spelled}:public".encode())
    assert (station.bssid, station.ssid, station.text) == (MAC, "public", f"{spelled}:public")
    alone = CalledStation.parse(spelled.encode())
    assert (alone.bssid, alone.ssid) == (MAC, None)
    assert CalledStation.parse(f"{spelled}:".encode()).ssid is None


@pytest.mark.parametrize(
    ("text", "bssid", "ssid"),
    [
        (f"{MAC}:a b:c", MAC, "a b:c"),
        (f"{MAC}:{'s' * 32}", MAC, "s" * 32),
        (f"{MAC}:{'s' * 33}", MAC, None),
        ("lobby ap-3.east:public", None, "public"),
        ("public", None, None),
        ("", None, None),
        (":public", None, None),
        ("192.0.2.1", None, None),
        ("2001:db8::1", None, None),
        ("00-1A-2B-3C-4D:public", None, "public"),
        ("00-1A-2B-3C-4D-5E-6F:public", None, "public"),
        ("00-1A:2B-3C-4D-5E", None, "2B-3C-4D-5E"),
        ("+49 30 1234", None, None),
    ],
)
def test_r1x_03_other_texts(text: str, bssid: str | None, ssid: str | None) -> None:
    station = CalledStation.parse(text.encode())
    assert (station.bssid, station.ssid) == (bssid, ssid)


def test_r1x_03_octets_that_are_not_utf_8_are_shown() -> None:
    assert CalledStation.parse(MAC.encode() + b":caf\xe9").ssid == "caf\\xe9"
    assert CalledStation.parse(f"{MAC}:café".encode()).ssid == "café"


@pytest.mark.parametrize("spelled", SPELLINGS)
def test_r1x_04_one_form_for_the_client(spelled: str) -> None:
    assert canonical_station(spelled) == MAC
    facts = NasFacts.of(asked((*EAP, (RadiusAttribute.CALLING_STATION_ID, spelled.encode()))))
    assert facts.calling_station == MAC


@pytest.mark.parametrize("other", ["", "+49 30 1234", "10.0.0.1", "00-1A-2B-3C-4D", "00-1A-2B-3C-4D-5E-6F"])
def test_r1x_04_other_texts_stay(other: str) -> None:
    assert canonical_station(other) == other


def test_r1x_06_what_a_request_says_of_its_server() -> None:
    said = (
        (RadiusAttribute.NAS_IDENTIFIER, b"ap-3"),
        (RadiusAttribute.NAS_IP_ADDRESS, bytes((192, 0, 2, 7))),
        (RadiusAttribute.NAS_PORT, bytes((0, 0, 0, 5))),
        (RadiusAttribute.NAS_PORT_ID, b"wlan0"),
        (RadiusAttribute.NAS_PORT_TYPE, bytes((0, 0, 0, 19))),
        (RadiusAttribute.FRAMED_MTU, bytes((0, 0, 5, 120))),
        (RadiusAttribute.CALLED_STATION_ID, b"001a2b3c4d5e:public"),
    )
    facts = NasFacts.of(asked((*EAP, *said)))
    assert (facts.nas_identifier, facts.nas_address, facts.label) == ("ap-3", "192.0.2.7", "ap-3")
    assert (facts.port, facts.port_id, facts.port_type, facts.framed_mtu) == (5, "wlan0", 19, 1400)
    assert facts.ssid == "public"


def test_r1x_06_a_server_that_says_nothing_or_has_an_address_of_version_6() -> None:
    assert NasFacts.of(asked()) == NasFacts()
    assert NasFacts().label == ""
    assert NasFacts().ssid is None
    facts = NasFacts.of(asked((*EAP, (RadiusAttribute.NAS_IPV6_ADDRESS, bytes(15) + b"\1"))))
    assert facts.nas_address == facts.label == "::1"


@pytest.mark.parametrize(
    "number",
    [
        *(RadiusAttribute.NAS_PORT, RadiusAttribute.NAS_PORT_TYPE, RadiusAttribute.FRAMED_MTU),
        *(RadiusAttribute.NAS_IP_ADDRESS, RadiusAttribute.NAS_IPV6_ADDRESS),
    ],
)
def test_numbers_and_addresses_of_the_wrong_length(number: RadiusAttribute) -> None:
    with pytest.raises(Malformed):
        NasFacts.of(asked((*EAP, (number, b"\0\0\0\0\1"))))
