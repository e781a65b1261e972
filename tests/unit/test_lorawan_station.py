"""A station is answered for the EUI of its own name alone."""

import json

import pytest

from dnsbound import ClientName, LimitExceeded, Malformed, Reason, Refused
from dnsbound.protocols.lorawan_names import Eui64, EuiNames
from dnsbound.protocols.lorawan_station import discovery, refusal, router_of, to_id6

NAMES = EuiNames.parse("_gateway.plant.example")
OWN = ClientName.parse("eui-b827ebfffe000001._gateway.plant.example")
URI = "wss://lns.plant.example/traffic/eui-b827ebfffe000001"


@pytest.mark.parametrize(
    ("router", "eui"),
    [
        ('"b827:ebff:fe00:1"', "b827ebfffe000001"),
        ('"B8-27-EB-FF-FE-00-00-01"', "b827ebfffe000001"),
        ('"b827ebfffe000001"', "b827ebfffe000001"),
        (str(0xB827EBFFFE000001), "b827ebfffe000001"),
        ('"::1"', "0000000000000001"),
        ('"::"', "0000000000000000"),
        ('"1::"', "0001000000000000"),
        ('"a::b"', "000a00000000000b"),
        ("0", "0000000000000000"),
    ],
)
def test_routers_say_who_they_are_in_every_spelling(router: str, eui: str) -> None:
    assert router_of(b'{"router": %s}' % router.encode()) == Eui64.from_text(eui)


def test_id6_and_back() -> None:
    for octets in (bytes(8), b"\xff" * 8, bytes(range(8))):
        assert router_of(json.dumps({"router": to_id6(Eui64(octets))}).encode()) == Eui64(octets)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"[]",
        b"{}",
        b'{"router": null}',
        b'{"router": true}',
        b'{"router": 1.5}',
        b'{"router": -1}',
        b'{"router": 18446744073709551616}',
        b'{"router": ""}',
        b'{"router": "1:2:3:4:5"}',
        b'{"router": "1:2:3"}',
        b'{"router": "1::2::3"}',
        b'{"router": "12345::"}',
        b'{"router": "1:2::3:4"}',
        b'{"router": "g::"}',
        b'{"router": "::1", "router": "::2"}',
        b'{"router": "' + b"1" * 200_000 + b'"}',
    ],
)
def test_what_names_no_router_is_malformed(message: bytes) -> None:
    with pytest.raises((Malformed, LimitExceeded)):
        router_of(message)


def test_lw_12_a_station_is_sent_on_for_the_eui_of_its_name() -> None:
    told = json.loads(discovery(b'{"router": "b827:ebff:fe00:1"}', name=OWN, names=NAMES, uri=URI))
    assert told == {"router": "b827:ebff:fe00:1", "muxs": "muxs-::0", "uri": URI}


@pytest.mark.parametrize("router", ["b827:ebff:fe00:2", "::1"])
def test_lw_12_another_routers_eui_is_refused(router: str) -> None:
    message = json.dumps({"router": router}).encode()
    with pytest.raises(Refused) as refused:
        discovery(message, name=OWN, names=NAMES, uri=URI)
    assert refused.value.reason is Reason.NOT_PERMITTED
    assert "error" in json.loads(refusal(message))


def test_refusing_what_is_no_question() -> None:
    assert "error" in json.loads(refusal(b"nonsense"))
