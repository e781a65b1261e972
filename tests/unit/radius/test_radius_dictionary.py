"""Attributes by name: what operators may grant, and one line for what they may not."""

from pathlib import Path

import pytest

from dnsbound.errors import Malformed
from dnsbound.iana import RadiusAttribute
from dnsbound.protocols.radius_attributes import RULES, Kind
from dnsbound.protocols.radius_dictionary import AttributeDictionary
from dnsbound.protocols.radius_grants import RadiusGrant

A = RadiusAttribute
VENDORS = """
# as FreeRADIUS writes them
VENDOR Aruba 14823
BEGIN-VENDOR Aruba
ATTRIBUTE Aruba-User-Role 1 string
ATTRIBUTE Aruba-User-Vlan 2 integer
ATTRIBUTE Aruba-Secret 3 string encrypt=2
ATTRIBUTE Aruba-Nested 4 tlv
ATTRIBUTE Aruba-Inner 4.1 string
END-VENDOR Aruba
VENDOR Microsoft 311
BEGIN-VENDOR Microsoft
ATTRIBUTE MS-MPPE-Send-Key 16 octets
END-VENDOR Microsoft
VALUE Service-Type Framed-User 2
"""
NAMES = AttributeDictionary([("dictionary.vendors", VENDORS)])
FREERADIUS = Path("/usr/share/freeradius")


@pytest.mark.parametrize(
    ("name", "value", "attributes"),
    [
        ("Aruba-User-Role", "guest", ((26, b"\0\0\x39\xe7\1\7guest"),)),
        ("Aruba-User-Vlan", 12, ((26, b"\0\0\x39\xe7\2\6\0\0\0\x0c"),)),
        ("Aruba-User-Role", ["a", "b"], ((26, b"\0\0\x39\xe7\1\3a"), (26, b"\0\0\x39\xe7\1\3b"))),
        ("Service-Type", "Framed-User", ((A.SERVICE_TYPE, b"\0\0\0\2"),)),
        ("Service-Type", 2, ((A.SERVICE_TYPE, b"\0\0\0\2"),)),
        ("Framed-Pool", "visitors", ((A.FRAMED_POOL, b"visitors"),)),
        ("Framed-IP-Address", "192.0.2.1", ((A.FRAMED_IP_ADDRESS, bytes((192, 0, 2, 1))),)),
        ("Acct-Interim-Interval", 600, ((A.ACCT_INTERIM_INTERVAL, b"\0\0\2\x58"),)),
    ],
)
def test_attributes_by_name(name: str, value: object, attributes: object) -> None:
    assert NAMES.encode(name, value) == attributes
    assert RadiusGrant.parse({"attributes": {name: value}}, NAMES).attributes == attributes


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("No-Such-Attribute", 1),
        ("Aruba-User-Vlan", "twelve"),
        ("Aruba-User-Vlan", -1),
        ("Aruba-User-Vlan", 2**32),
        ("Aruba-User-Role", ""),
        ("Aruba-User-Role", []),
        ("Aruba-User-Role", True),
        ("Aruba-User-Role", 1.5),
        ("Aruba-User-Role", "x" * 248),
        ("Aruba-Secret", "secret"),
        ("Aruba-Nested", "x"),
        ("Aruba-Inner", "x"),
        ("MS-MPPE-Send-Key", "key"),
        ("Framed-IP-Address", "2001:db8::1"),
        ("Tunnel-Password", "secret"),
        ("State", "x"),
        ("Session-Timeout", 5),
        ("EAP-Message", "x"),
        ("Message-Authenticator", "0123456789abcdef"),
        ("Called-Station-Id", "x"),
        ("Acct-Status-Type", 1),
    ],
)
def test_what_cannot_be_granted_is_one_line_with_its_name(name: str, value: object) -> None:
    with pytest.raises(Malformed) as caught:
        NAMES.encode(name, value)
    assert repr(name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_grants_that_no_packet_could_carry_are_found_when_they_are_read() -> None:
    for grants in (
        {"idle_timeout": 5, "attributes": {"Idle-Timeout": 6}},
        {"attributes": {"Framed-Pool": ["a", "b"]}},
        {"attributes": {"Aruba-User-Role": ["x" * 240] * 10}},
    ):
        with pytest.raises(Malformed):
            RadiusGrant.parse(grants, NAMES)


@pytest.mark.parametrize(
    "text",
    [
        "$INCLUDE /etc/passwd",
        "  $include- other",
        "ATTRIBUTE Broken one string",
        "ATTRIBUTE Broken 1",
        "BEGIN-VENDOR Nobody",
        "VENDOR Somebody 1 format=9",
        "VALUE Service-Type Wrong many",
        "ATTRIBUTE Inner 7.1 string",
    ],
)
def test_a_dictionary_that_is_none_says_which_file(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        AttributeDictionary([("dictionary.mine", text)])
    assert str(caught.value).startswith("dictionary.mine")


def test_the_table_and_freeradius_agree() -> None:
    """Numbers and types; its files of the RFCs, where they are installed."""
    if not FREERADIUS.is_dir():
        pytest.skip("FreeRADIUS' dictionaries are not here")
    files = sorted(FREERADIUS.glob("dictionary.rfc[2-7][0-9][0-9][0-9]"))
    theirs = {
        words[1]: (words[2], words[3].partition("[")[0], "has_tag" in line)
        for path in files
        for line in path.read_text().splitlines()
        if (words := line.split()) and words[0] == "ATTRIBUTE" and len(words) > 3
    }
    other_types = {A.USER_PASSWORD, A.TUNNEL_PASSWORD, A.VENDOR_SPECIFIC, A.FRAMED_IPX_NETWORK, A.FRAMED_INTERFACE_ID}
    other_types |= {A.ARAP_SECURITY_DATA}
    compared = 0
    for number, rule in RULES.items():
        if rule.name not in theirs:
            continue
        compared += 1
        said, kind, tagged = theirs[rule.name]
        assert int(said) == number, rule.name
        if number not in other_types and rule.kind is not Kind.HIDDEN:
            assert (kind, tagged) == (rule.kind.value.partition(" ")[0], rule.kind.value.endswith("has_tag")), rule.name
    assert compared > 100
