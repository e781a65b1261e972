"""Addresses of XMPP, which names speak for them, and the two forms of an OMEMO key."""

import contextlib
import os
from hashlib import sha256

import pytest
import xeddsa
from hypothesis import given
from hypothesis import strategies as st

from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.errors import DnsboundError, Malformed, Misuse, Reason, Refused
from dnsbound.names import ClientName
from dnsbound.objects.bare_jid import BareJid
from dnsbound.objects.jid_links import JidLinks
from dnsbound.objects.omemo_key import HIGHEST_DEVICE, OmemoKey, curve25519_form

CAR = ClientName.parse("car54._device.cars.example")
JID = BareJid.parse("reports@xmpp.example")
KEY = xeddsa.priv_to_ed25519_pub(sha256(b"a device").digest())


@pytest.mark.parametrize("text", ["car54@cars.example", "a.b_c-d@localhost", "car54._device.cars.example@xmpp.example"])
def test_addresses_that_are_read(text: str) -> None:
    assert BareJid.parse(text).to_text() == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cars.example",
        "@cars.example",
        "car54@",
        "Car54@cars.example",
        "car54@Cars.example",
        "car54@cars.example/phone",
        "car 54@cars.example",
        "car54@cars.example.",
        "car54@-cars.example",
        "car54@cars..example",
        "car54@car_s.example",
        "a@b@cars.example",
        "ca\u0280s@cars.example",
        "car54@cars.ex\u0430mple",
        "car54@cars.example\n",
        f"{'a' * 256}@cars.example",
        f"a@{'a' * 64}.example",
        "a@" + ".".join(["a" * 60] * 5),
        "o'neill@cars.example",
    ],
)
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(Malformed):
        BareJid.parse(text)


@given(st.text())
def test_any_text_is_an_address_or_malformed(text: str) -> None:
    with contextlib.suppress(Malformed):
        assert BareJid.parse(text).to_text() == text


def speaks(links: JidLinks, address: str, name: str = CAR.text, **grants: object) -> bool:
    try:
        links.check(BareJid.parse(address), ClientName.parse(name), grants)
    except Refused as refused:
        return refused.reason is not Reason.NOT_LINKED
    return True


class TestLinks:
    def test_xe_04_a_name_has_the_addresses_that_are_called_like_it(self) -> None:
        assert speaks(JidLinks(), f"{CAR}@cars.example")
        assert speaks(JidLinks(), f"{CAR}@xmpp.example")
        assert speaks(JidLinks(), f"{CAR}@xmpp.example", CAR.text.upper())
        assert not speaks(JidLinks(), "car55._device.cars.example@cars.example")

    def test_xe_04_a_parent_domain_is_no_link(self) -> None:
        """One device of an organisation is not all its people."""
        for jid in ("car54@cars.example", "boss@cars.example", "cars@example"):
            assert not speaks(JidLinks(), jid)

    def test_xe_04_the_access_list_grants_addresses(self) -> None:
        assert speaks(JidLinks(), "reports@xmpp.example", jid="reports@xmpp.example")
        assert speaks(JidLinks(), "reports@xmpp.example", jid=("other@xmpp.example", "Reports@xmpp.example"))
        assert not speaks(JidLinks(), "reports@xmpp.example", jid=["other@xmpp.example"])

    @pytest.mark.parametrize("grant", [7, {"a": 1}, [7], ["no address"], "no address"])
    def test_a_grant_that_is_none(self, grant: object) -> None:
        with pytest.raises(Misuse):
            JidLinks().check(JID, CAR, {"jid": grant})

    def test_xe_04_the_application_has_a_table(self) -> None:
        links = JidLinks({"reports@xmpp.example": [CAR.text.upper(), "reports.cars.example"]})
        assert speaks(links, "reports@xmpp.example")
        assert speaks(links, "reports@xmpp.example", "reports.cars.example")
        assert not speaks(links, "reports@xmpp.example", "car55._device.cars.example")
        assert not speaks(links, "car54@xmpp.example")

    def test_xe_04_kinds_that_the_application_lists(self) -> None:
        users = JidLinks(kinds=["_USER"])
        assert speaks(users, "bob@cars.example", "bob._user.cars.example")
        for name in ("bob._device.cars.example", "bob._user.vans.example", "bob._user.fleet.cars.example"):
            assert not speaks(users, "bob@cars.example", name)
        assert not speaks(users, "_user@cars.example", "_user.cars.example")
        assert not speaks(JidLinks(), "bob@cars.example", "bob._user.cars.example")

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            ({"kinds": ["user"]}, Misuse),
            ({"kinds": ["_user.more"]}, Misuse),
            ({"kinds": [""]}, Misuse),
            ({"table": {"no address": [CAR.text]}}, Malformed),
            ({"table": {"a@b.example": ["*.cars.example"]}}, Malformed),
        ],
    )
    def test_rules_that_are_none(self, arguments: dict, error: type[DnsboundError]) -> None:
        with pytest.raises(error):
            JidLinks(**arguments)


class TestOmemoKeys:
    def test_xe_11_the_curve25519_form_is_what_omemo_computes(self) -> None:
        for number in range(50):
            key = xeddsa.priv_to_ed25519_pub(sha256(b"%d" % number).digest())
            assert curve25519_form(key) == xeddsa.ed25519_pub_to_curve25519_pub(key)
        assert OmemoKey(device=1, identity_key=KEY).fingerprint == xeddsa.ed25519_pub_to_curve25519_pub(KEY).hex()

    def test_xe_11_the_sign_does_not_count(self) -> None:
        other = KEY[:-1] + bytes((KEY[-1] ^ 0x80,))
        assert other != KEY
        assert curve25519_form(other) == curve25519_form(KEY)

    @pytest.mark.parametrize(
        "octets",
        [
            b"",
            KEY[:-1],
            KEY + b"\0",
            b"\x01" + bytes(31),  # the neutral element
            b"\x01" + bytes(30) + b"\x80",
            (2**255 - 19).to_bytes(32, "little"),
            b"\xff" * 32,
        ],
    )
    def test_octets_that_are_no_key(self, octets: bytes) -> None:
        with pytest.raises(Malformed):
            OmemoKey(device=1, identity_key=octets)

    @pytest.mark.parametrize("device", [0, -1, HIGHEST_DEVICE + 1])
    def test_numbers_that_are_no_device(self, device: int) -> None:
        with pytest.raises(Malformed):
            OmemoKey(device=device, identity_key=KEY)

    @given(st.binary(max_size=40))
    def test_any_octets_are_a_key_or_malformed(self, octets: bytes) -> None:
        with contextlib.suppress(Malformed):
            assert len(curve25519_form(octets)) == 32

    def test_the_signers_own_key_is_recognised_in_either_sign(self) -> None:
        own = Credential.generate(CAR, now=1_790_000_000.0, algorithm=KeyAlgorithm.ED25519)
        digest, raw = sha256(own.spki).digest(), own.spki[-32:]
        flipped = raw[:-1] + bytes((raw[-1] ^ 0x80,))
        assert OmemoKey(device=1, identity_key=raw).is_key_of(digest)
        assert OmemoKey(device=1, identity_key=flipped).is_key_of(digest)
        assert not OmemoKey(device=1, identity_key=KEY).is_key_of(digest)
        assert not OmemoKey(device=1, identity_key=xeddsa.priv_to_ed25519_pub(os.urandom(32))).is_key_of(digest)
