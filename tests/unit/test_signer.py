"""The online signer: what it signs, for how long, with which keys, and the keys' text form."""

import dns.dnssec
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from dns.dnssectypes import Algorithm

from dnsbound.dns.signer import KeyRole, KeyState, Signer, ZoneKey, ZoneKeys
from dnsbound.errors import LimitExceeded, Malformed, Misuse
from dnsbound.limits import SIGNATURE_SECONDS

ORIGIN = dns.name.from_text("cars.example.")
OWNER = dns.name.from_text("car54._device.cars.example.")
NOW = 1_800_000_000.0
TLSA = dns.rdatatype.TLSA


def rdataset(kind: str = "TLSA", text: str = "3 1 1 " + "ab" * 32, ttl: int = 60) -> dns.rdataset.Rdataset:
    return dns.rdataset.from_rdata(ttl, dns.rdata.from_text(dns.rdataclass.IN, kind, text))


def validates(owner: dns.name.Name, data: dns.rdataset.Rdataset, made: dns.rdataset.Rdataset, keys: ZoneKeys) -> None:
    """dnspython's own verification, as an independent judge."""
    dns.dnssec.validate(
        dns.rrset.from_rdata_list(owner, data.ttl, list(data)),
        dns.rrset.from_rdata_list(owner, made.ttl, list(made)),
        {keys.origin: dns.rrset.from_rdata_list(keys.origin, 60, [key.dnskey for key in keys.keys])},
        now=NOW,
    )


@pytest.mark.parametrize("algorithm", [Algorithm.ECDSAP256SHA256, Algorithm.ED25519])
def test_signatures_verify_and_live_for_an_hour_at_most(algorithm: Algorithm) -> None:
    keys = ZoneKeys.generate(ORIGIN, algorithm)
    made = Signer().sign(OWNER, rdataset(), keys, now=NOW)
    validates(OWNER, rdataset(), made, keys)
    [rrsig] = made
    assert rrsig.inception < NOW < rrsig.expiration
    assert rrsig.expiration - rrsig.inception == SIGNATURE_SECONDS.default == 3600
    assert (rrsig.signer, rrsig.labels, rrsig.algorithm, rrsig.original_ttl) == (ORIGIN, 4, algorithm, 60)


def test_short_validity_is_not_eaten_up_by_backdating() -> None:
    [rrsig] = Signer(validity=60).sign(OWNER, rdataset(), ZoneKeys.generate(ORIGIN), now=NOW)
    assert rrsig.expiration - NOW == 45


@pytest.mark.parametrize("validity", [0, 59, 86_401])
def test_validity_out_of_range_is_misuse(validity: int) -> None:
    with pytest.raises(Misuse):
        Signer(validity=validity)


def test_wildcard_signatures_show_the_wildcard() -> None:
    keys = ZoneKeys.generate(ORIGIN)
    wildcard = dns.name.from_text("*._device.cars.example.")
    data = rdataset(text="2 0 1 " + "cd" * 32)
    made = Signer().sign(wildcard, data, keys, now=NOW)
    assert made[0].labels == 3
    validates(OWNER, data, made, keys)


def test_signatures_are_repeated_until_half_of_their_life_is_over() -> None:
    keys, signer = ZoneKeys.generate(ORIGIN), Signer()
    spent: list[int] = []
    first = signer.sign(OWNER, rdataset(), keys, now=NOW, spend=lambda: spent.append(1))
    assert signer.sign(OWNER, rdataset(), keys, now=NOW + 1649, spend=lambda: spent.append(2)) is first
    later = signer.sign(OWNER, rdataset(), keys, now=NOW + 1650, spend=lambda: spent.append(3))
    assert later[0].inception == first[0].inception + 1650
    assert spent == [1, 3]


def test_nothing_made_in_the_future_is_repeated_after_the_clock_went_back() -> None:
    keys, signer = ZoneKeys.generate(ORIGIN), Signer()
    signer.sign(OWNER, rdataset(), keys, now=NOW)
    [rrsig] = signer.sign(OWNER, rdataset(), keys, now=NOW - 10_000)
    assert rrsig.inception <= NOW - 10_000


def test_changed_content_and_changed_keys_are_signed_anew() -> None:
    keys, signer = ZoneKeys.generate(ORIGIN), Signer()
    first = signer.sign(OWNER, rdataset(), keys, now=NOW)
    other = rdataset(text="3 1 1 " + "ef" * 32)
    validates(OWNER, other, signer.sign(OWNER, other, keys, now=NOW), keys)
    assert signer.sign(OWNER, rdataset(ttl=30), keys, now=NOW)[0].original_ttl == 30
    new = ZoneKeys.generate(ORIGIN)
    validates(OWNER, rdataset(), signer.sign(OWNER, rdataset(), new, now=NOW), new)
    assert signer.sign(OWNER, rdataset(), keys, now=NOW) is first


def test_the_cache_is_bounded_and_denials_do_not_push_out_answers() -> None:
    keys, signer = ZoneKeys.generate(ORIGIN), Signer(cache=16)
    first = signer.sign(OWNER, rdataset(), keys, now=NOW)
    for number in range(20):
        name = dns.name.from_text(f"random{number}", ORIGIN)
        signer.sign(name, rdataset("NSEC", f"\\000.{name} RRSIG NSEC"), keys, now=NOW)
    assert signer.sign(OWNER, rdataset(), keys, now=NOW) is first
    for number in range(20):
        signer.sign(dns.name.from_text(f"car{number}", ORIGIN), rdataset(), keys, now=NOW)
    assert signer.sign(OWNER, rdataset(), keys, now=NOW) is not first


def test_a_spent_budget_makes_no_signature() -> None:
    def refuse() -> None:
        raise LimitExceeded("signatures-per-prefix")

    keys, signer = ZoneKeys.generate(ORIGIN), Signer()
    with pytest.raises(LimitExceeded):
        signer.sign(OWNER, rdataset(), keys, now=NOW, spend=refuse)
    signer.sign(OWNER, rdataset(), keys, now=NOW)
    signer.sign(OWNER, rdataset(), keys, now=NOW, spend=refuse)  # kept: costs nothing


def tags(keys: ZoneKeys, rdtype: dns.rdatatype.RdataType) -> set[int]:
    return {key.tag for key in keys.signers_of(rdtype)}


def test_a_csk_roll_is_safe_at_every_step() -> None:
    old = ZoneKeys.generate(ORIGIN)
    key = ZoneKey.generate()
    first, second = old.keys[0].tag, key.tag
    published = old.with_prepublished(key)
    assert tags(published, dns.rdatatype.DNSKEY) == {first, second}
    assert tags(published, TLSA) == {first}
    assert {ds.key_tag for ds in published.ds()} == {first, second}
    active = published.with_activated(second)
    assert tags(active, dns.rdatatype.DNSKEY) == {first, second}
    assert tags(active, TLSA) == {second}
    assert {ds.key_tag for ds in active.ds()} == {second}
    last = active.without(first)
    assert tags(last, dns.rdatatype.DNSKEY) == tags(last, TLSA) == {second}
    with pytest.raises(Misuse):
        active.without(second)


def test_each_algorithm_in_dnskey_signs() -> None:
    keys = ZoneKeys.generate(ORIGIN).with_prepublished(ZoneKey.generate(Algorithm.ED25519))
    assert tags(keys, TLSA) == {key.tag for key in keys.keys}


def test_ksk_and_zsk_divide_the_work() -> None:
    ksk, zsk = ZoneKey.generate(role=KeyRole.KSK), ZoneKey.generate(role=KeyRole.ZSK)
    keys = ZoneKeys(ORIGIN, (ksk, zsk))
    assert tags(keys, dns.rdatatype.DNSKEY) == {ksk.tag}
    assert tags(keys, TLSA) == {zsk.tag}
    assert (ksk.dnskey.flags, zsk.dnskey.flags) == (257, 256)
    assert [ds.key_tag for ds in keys.ds()] == [ksk.tag]
    new = ZoneKey.generate(role=KeyRole.ZSK)
    rolled = keys.with_prepublished(new).with_activated(new.tag)
    assert tags(rolled, TLSA) == {new.tag}
    assert tags(rolled, dns.rdatatype.DNSKEY) == {ksk.tag}
    assert rolled.key(zsk.tag).state is KeyState.RETIRED


@pytest.mark.parametrize(
    "roles",
    [(), (KeyRole.KSK,), (KeyRole.ZSK,)],
)
def test_keys_that_cannot_sign_a_zone_are_misuse(roles: tuple[KeyRole, ...]) -> None:
    with pytest.raises(Misuse):
        ZoneKeys(ORIGIN, tuple(ZoneKey.generate(role=role) for role in roles))


def test_one_key_twice_is_misuse() -> None:
    key = ZoneKey.generate()
    with pytest.raises(Misuse):
        ZoneKeys(ORIGIN, (key, key))


@pytest.mark.parametrize(
    "make", [lambda: ec.generate_private_key(ec.SECP384R1()), lambda: rsa.generate_private_key(65537, 2048)]
)
def test_other_keys_are_misuse(make) -> None:
    with pytest.raises(Misuse):
        ZoneKey(make())


def test_other_algorithms_are_not_generated() -> None:
    with pytest.raises(Misuse):
        ZoneKey.generate(Algorithm.RSASHA256)


def test_pem_round_trip_keeps_roles_and_states() -> None:
    keys = ZoneKeys(
        ORIGIN,
        (
            ZoneKey.generate(role=KeyRole.KSK),
            ZoneKey.generate(Algorithm.ED25519, role=KeyRole.ZSK),
            ZoneKey.generate(role=KeyRole.ZSK, state=KeyState.RETIRED),
            ZoneKey.generate(state=KeyState.PUBLISHED),
        ),
    )
    again = ZoneKeys.parse_pem(ORIGIN, keys.to_pem())
    assert [(k.tag, k.role, k.state) for k in again.keys] == [(k.tag, k.role, k.state) for k in keys.keys]
    assert again.to_pem() == keys.to_pem()


def test_text_forms_do_not_show_the_private_key() -> None:
    keys = ZoneKeys.generate(ORIGIN)
    assert "private" not in repr(keys).lower()


def test_a_bare_pem_key_is_an_active_csk() -> None:
    pem = ZoneKeys.generate(ORIGIN).to_pem().split(b"\n", 1)[1]
    [key] = ZoneKeys.parse_pem(ORIGIN, pem).keys
    assert (key.role, key.state) == (KeyRole.CSK, KeyState.ACTIVE)


PEM = ZoneKeys.generate(ORIGIN).to_pem()


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"hello",
        b"\xff\xfe",
        PEM[:-5],
        PEM.replace(b"role=csk", b"role=king"),
        PEM.replace(b"state=active", b"state=asleep"),
        PEM.replace(b"state=active", b"state=retired"),
        PEM + PEM,
        PEM.replace(b"MIGH", b"AAAA"),
        b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
    ],
)
def test_key_files_that_do_not_parse(octets: bytes) -> None:
    with pytest.raises(Malformed):
        ZoneKeys.parse_pem(ORIGIN, octets)
