"""Grants of the access list as attributes; one clear line for what cannot be one."""

from collections.abc import Mapping
from typing import Any

import pytest

from dnsbound.errors import Malformed, Misuse
from dnsbound.iana import RadiusAttribute, RadiusCode
from dnsbound.names import ClientName
from dnsbound.protocols.radius import RadiusPacket, answer_to
from dnsbound.protocols.radius_attributes import Attributes
from dnsbound.protocols.radius_grants import RadiusGrant, session_attributes, session_seconds, vlan_attributes
from dnsbound.protocols.radius_identity import (
    chargeable_identity_attributes,
    chargeable_user_identity,
    operator_of,
)
from dnsbound.verify.access import AccessList
from unit.radius_requests import EAP, SECRET, asked

CAR = ClientName.parse("car54._device.cars.example")


class Names:
    def encode(self, name: str, value: object) -> Attributes:
        return ((0xF1, f"{name}={value}".encode()),)


def parsed(grants: Mapping[str, Any]) -> RadiusGrant:
    return RadiusGrant.parse(grants, Names())


@pytest.mark.parametrize("vlan", [1, 12, 4094, "12", "guests", "Gäste 2"])
def test_r1x_01_a_vlan_is_three_attributes(vlan: int | str) -> None:
    assert parsed({"vlan": vlan}).to_attributes() == (
        (RadiusAttribute.TUNNEL_TYPE, b"\0\0\0\x0d"),
        (RadiusAttribute.TUNNEL_MEDIUM_TYPE, b"\0\0\0\x06"),
        (RadiusAttribute.TUNNEL_PRIVATE_GROUP_ID, str(vlan).encode()),
    )


def test_r1x_02_with_a_tag_all_three_carry_it() -> None:
    assert parsed({"vlan": 7}).to_attributes(tag=3) == (
        (RadiusAttribute.TUNNEL_TYPE, b"\3\0\0\x0d"),
        (RadiusAttribute.TUNNEL_MEDIUM_TYPE, b"\3\0\0\x06"),
        (RadiusAttribute.TUNNEL_PRIVATE_GROUP_ID, b"\0037"),
    )
    assert vlan_attributes("7", tag=31)[2][1] == b"\x1f7"
    for tag in (-1, 32):
        with pytest.raises(Misuse):
            vlan_attributes("7", tag=tag)


def test_r1x_07_filters_idle_timeout_and_named_attributes() -> None:
    grant = parsed({"filter": ["visitors", "no-mail"], "idle_timeout": 600, "attributes": {"Some-Attribute": 5}})
    assert grant.to_attributes() == (
        (RadiusAttribute.FILTER_ID, b"visitors"),
        (RadiusAttribute.FILTER_ID, b"no-mail"),
        (RadiusAttribute.IDLE_TIMEOUT, b"\0\0\2\x58"),
        (0xF1, b"Some-Attribute=5"),
    )
    assert parsed({"filter": "visitors"}).filters == ("visitors",)


def test_grants_of_an_access_list_are_read() -> None:
    access = AccessList.from_toml(
        '[door.public]\nallow = [{ names = ["*._device.cars.example"], grants = { vlan = "guests", filter = ["a", "b"],'
        ' session_timeout = 7200, attributes = { "X" = 1 } } }]\n'
    )
    grant = parsed(access.permit("public", CAR).grants)
    assert (grant.vlan, grant.filters, grant.session_timeout) == ("guests", ("a", "b"), 7200)
    assert parsed({}) == RadiusGrant()
    assert RadiusGrant().to_attributes() == ()


@pytest.mark.parametrize(
    "grants",
    [
        *({"vlan": value} for value in (0, 4095, -1, True, 1.5, "", "0", "4095", "a\nb", "x" * 253, None, ["a"])),
        *({"filter": value} for value in ("", [], [""], 5, "x" * 254, ["a", 5], "a\0b")),
        *({"session_timeout": value} for value in (0, -1, "3600", 1.5, True, 2**31)),
        *({"idle_timeout": value} for value in (0, "1h")),
        {"attributes": "Some-Attribute"},
        {"vlna": 12},
        {"topic": "robots/"},
    ],
    ids=str,
)
def test_a_grant_that_cannot_be_an_attribute_is_one_clear_line(grants: Mapping[str, Any]) -> None:
    with pytest.raises(Malformed) as caught:
        parsed(grants)
    assert next(iter(grants)) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_named_attributes_need_a_dictionary() -> None:
    with pytest.raises(Malformed):
        RadiusGrant.parse({"attributes": {"Some-Attribute": 5}})


@pytest.mark.parametrize(
    ("granted", "evidence", "seconds"),
    [
        (None, None, 3600),
        (7200, None, 7200),
        (600, None, 600),
        (None, 60.0, 3600),
        (7200, 60.0, 3600),
        (7200, 5000.9, 5000),
        (7200, 90_000.0, 7200),
        (600, 60.0, 600),
        (600, -5.0, 600),
        (None, -5.0, 3600),
    ],
)
def test_r1x_05_how_long_a_session_lasts(granted: int | None, evidence: float | None, seconds: int) -> None:
    assert session_seconds(granted, network=3600, evidence=evidence) == seconds


def test_r1x_05_what_happens_at_its_end() -> None:
    timeout = (RadiusAttribute.SESSION_TIMEOUT, b"\0\0\x0e\x10")
    assert session_attributes(3600, reauthenticate=False) == (timeout,)
    assert session_attributes(3600, reauthenticate=True) == (
        timeout,
        (RadiusAttribute.TERMINATION_ACTION, b"\0\0\0\1"),
    )


def test_rad_13_all_of_it_stands_in_an_access_accept() -> None:
    grant = parsed({"vlan": 12, "filter": "a", "idle_timeout": 60, "attributes": {"X": 1}})
    attributes = (*EAP, *grant.to_attributes(), *session_attributes(3600, reauthenticate=True))
    answer = RadiusPacket.from_wire(answer_to(asked(), RadiusCode.ACCESS_ACCEPT, attributes, SECRET))
    assert answer.attributes[1:] == attributes


# --- Chargeable-User-Identity

KEY = bytes(range(32))


def test_cui_01_for_who_asks() -> None:
    handle = chargeable_user_identity(CAR, b"isp", KEY)
    for said in (b"\0", b"a handle of before"):
        asking = asked((*EAP, (RadiusAttribute.CHARGEABLE_USER_IDENTITY, said)))
        assert chargeable_identity_attributes(asking, handle) == ((RadiusAttribute.CHARGEABLE_USER_IDENTITY, handle),)
    assert chargeable_identity_attributes(asked(), handle) == ()


def test_cui_02_the_same_visitor_at_the_same_operator_and_no_other() -> None:
    handle = chargeable_user_identity(CAR, b"isp", KEY)
    assert handle == chargeable_user_identity(ClientName.parse("CAR54._device.cars.example"), b"isp", KEY)
    others = {
        chargeable_user_identity(ClientName.parse("car55._device.cars.example"), b"isp", KEY),
        chargeable_user_identity(CAR, b"another isp", KEY),
        chargeable_user_identity(CAR, b"isp", KEY[::-1]),
    }
    assert len(others | {handle}) == 4
    assert len(handle) == 32
    assert b"car54" not in handle


def test_cui_02_a_client_asks_for_no_others_handles() -> None:
    named = asked((*EAP, (RadiusAttribute.OPERATOR_NAME, b"1isp.example")))
    assert operator_of(named, "proxy") == b"proxy\x001isp.example"
    assert operator_of(asked(), "proxy") == b"proxy\0"
    assert operator_of(named, "other") != operator_of(named, "proxy")


def test_cui_02_a_short_key_is_no_key() -> None:
    with pytest.raises(Misuse):
        chargeable_user_identity(CAR, b"isp", KEY[:31])
