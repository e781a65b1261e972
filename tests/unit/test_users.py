"""Users of a domain: read from verified certificates, and meant by the access list."""

from typing import Any

import pytest
from cryptography import x509

from dnsbound import AccessList, Authenticator, Misuse, Reason, Refused
from dnsbound.credential.credential import Credential
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.verify.users import VerifiedUser, user_of
from unit.claims import CREDENTIAL, DOOR, NAME, NOW, Records, answer, claim
from unit.users import DOMAIN, UID, USERS, certified, mailbox, uid

AUTHORITY = CertificateAuthority.create("Cars users", now=NOW)
ANN = certified(AUTHORITY, uid("Ann"), now=NOW)


def verified(credential: Credential, grants: str = '{ users = "*" }', *records: Any, **facts: Any) -> Any:
    """The peer that a door makes of a claim of `_user.cars.example`."""
    access = AccessList.from_toml(f'[door.{DOOR}]\nallow = [{{ names = ["{USERS}"], grants = {grants} }}]\n')
    published = records or (AUTHORITY.tlsa(),)
    at = Authenticator(access, Records(answer(USERS.text, *published, **facts)), door=DOOR, clock=lambda: NOW)
    return at.authenticate_blocking(claim(USERS.text, presented=credential.presented))


def user(credential: Credential, grants: str = '{ users = "*" }') -> VerifiedUser:
    return user_of(verified(credential, grants), credential.chain[0])


def refusal(credential: Credential, grants: str = '{ users = "*" }') -> Reason:
    with pytest.raises(Refused) as refused:
        user(credential, grants)
    return refused.value.reason


def test_di_01_the_identity_is_lower_case_uid_at_domain() -> None:
    found = user(ANN)
    assert (found.uid, found.text, str(found)) == ("ann", "ann@cars.example", "ann@cars.example")
    assert found.peer.name == USERS


@pytest.mark.parametrize(
    "names",
    [
        [uid("ANN")],
        [mailbox("Ann@Cars.Example")],
        [uid("ann"), mailbox("ann@cars.example"), mailbox("ann@elsewhere.example")],
    ],
)
def test_di_01_by_uid_or_by_a_mailbox_of_the_domain(names: list[x509.GeneralName]) -> None:
    assert user(certified(AUTHORITY, *names, now=NOW)).text == "ann@cars.example"


def test_di_01_also_beyond_ascii() -> None:
    assert user(certified(AUTHORITY, mailbox("J\u00dcRGEN@cars.example"), now=NOW)).text == "j\u00fcrgen@cars.example"


def test_di_01_the_dns_name_may_have_the_label_too() -> None:
    assert user(certified(AUTHORITY, uid("ann"), dns_name=USERS.text, now=NOW)).uid == "ann"
    with pytest.raises(Refused) as refused:
        user(certified(AUTHORITY, uid("ann"), dns_name="other.example", now=NOW))
    assert refused.value.reason is Reason.NAME_NOT_IN_CERTIFICATE


def test_di_01_no_other_name_is_found_without_its_first_label() -> None:
    """The domain stands for its users alone: `_device` names and hosts are found as they are written."""
    device = f"_device.{DOMAIN}"
    access = AccessList.allowing(DOOR, [device])
    at = Authenticator(access, Records(answer(device, AUTHORITY.tlsa())), door=DOOR, clock=lambda: NOW)
    with pytest.raises(Refused) as refused:
        at.authenticate_blocking(claim(device, presented=ANN.presented))
    assert refused.value.reason is Reason.NAME_NOT_IN_CERTIFICATE


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ([], Reason.NO_NAME),
        ([mailbox("ann@elsewhere.example")], Reason.NO_NAME),
        ([uid("ann"), uid("bob")], Reason.AMBIGUOUS_NAME),
        ([uid("ann"), mailbox("bob@cars.example")], Reason.AMBIGUOUS_NAME),
        ([uid("")], Reason.BAD_NAME),
        ([uid("ann bob")], Reason.BAD_NAME),
        ([uid("ann@cars.example")], Reason.BAD_NAME),
        ([uid("a" * 65)], Reason.BAD_NAME),
        ([uid("ann\n")], Reason.BAD_NAME),
        ([x509.OtherName(UID, b"\x04\x03ann")], Reason.CHAIN_INVALID),
        ([x509.OtherName(UID, b"\x0c\x02\xff\xff")], Reason.CHAIN_INVALID),
    ],
)
def test_di_02_a_certificate_names_one_user(names: list[x509.GeneralName], reason: Reason) -> None:
    assert refusal(certified(AUTHORITY, *names, now=NOW)) is reason


@pytest.mark.parametrize(
    ("grants", "meant"),
    [
        ('{ users = ["ann"] }', True),
        ('{ users = ["bob", "Ann"] }', True),
        ('{ users = "ann" }', True),
        ('{ users = "*" }', True),
        ('{ users = ["*"] }', False),
        ('{ users = ["bob"] }', False),
        ("{ users = [] }", False),
        ("{ users = true }", False),
        ("{ users = [1] }", False),
        ('{ role = "admin" }', False),
    ],
)
def test_di_03_the_list_says_which_users_are_meant(grants: str, meant: bool) -> None:
    if meant:
        assert user(ANN, grants).uid == "ann"
    else:
        assert refusal(ANN, grants) is Reason.NOT_PERMITTED


def test_di_04_one_key_is_not_all_users() -> None:
    key = Credential.generate(USERS, now=NOW)
    peer = verified(key, '{ users = "*" }', key.tlsa())
    with pytest.raises(Refused) as refused:
        user_of(peer, key.chain[0])
    assert refused.value.reason is Reason.TLSA_UNUSABLE


def test_di_04_another_authority_vouches_for_nobody() -> None:
    other = CertificateAuthority.create("Somebody", now=NOW)
    with pytest.raises(Refused) as refused:
        user(certified(other, uid("ann"), now=NOW))
    assert refused.value.reason is Reason.TLSA_MISMATCH


def test_a_device_is_no_user() -> None:
    at = Authenticator(
        AccessList.allowing(DOOR, [NAME]), Records(answer(NAME, CREDENTIAL.tlsa())), door=DOOR, clock=lambda: NOW
    )
    with pytest.raises(Refused) as refused:
        user_of(at.authenticate_blocking(claim()), CREDENTIAL.chain[0])
    assert refused.value.reason is Reason.NO_NAME


def test_nobody_makes_a_verified_user_by_hand() -> None:
    with pytest.raises(Misuse):
        VerifiedUser(uid="ann", domain=USERS, peer=verified(ANN))
