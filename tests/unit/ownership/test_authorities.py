"""Authorities that speak for an organisation's clients: what may be published, and what goes with them."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from dnsbound.credential.association import tlsa_for_certificate
from dnsbound.credential.certificate_facts import CLIENT_AUTH, SERVER_AUTH
from dnsbound.credential.credential import Credential
from dnsbound.errors import Malformed, Misuse
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.names import ClientName
from dnsbound.provision.entries import IdentityState
from dnsbound.provision.errors import AlreadyInInventory, NotInInventory
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.ownership.authority_certificate import AuthorityCertificate
from unit.fleets import NOW, WILDCARD, authority

OWNER = OwnerName.parse(WILDCARD, wildcard=True)
DER = authority().chain[0]


def certificate(*, days=3650, started=-1, key=None, ca=True, extensions=()):
    """A self-signed certificate with what a test needs to be different."""
    private = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Test authority")])
    now = datetime.fromtimestamp(NOW, UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(now + timedelta(days=started))
        .not_valid_after(now + timedelta(days=days))
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(private, hashes.SHA256()).public_bytes(Encoding.DER)


def constraints(*permitted):
    return x509.NameConstraints([x509.DNSName(name) for name in permitted], None)


def publish(fleet, der=DER, owner=OWNER, **changes):
    return fleet.inventory.authorities.publish(owner, der, **(fleet.acting | changes))


def test_an_authority_speaks_for_every_name_below(fleet):
    made = publish(fleet, reason="our devices")
    assert fleet.served("any._device.cars.example") == [authority().tlsa().to_text()]
    assert (made.owner, made.state, len(made.records), made.records[0].ttl) == (OWNER, IdentityState.ACTIVE, 1, 120)
    assert fleet.events(WILDCARD) == [("publish-authority", "our devices")]
    with pytest.raises(AlreadyInInventory):
        publish(fleet)


@pytest.mark.parametrize("owner", ["_user.cars.example", "*._user.cars.example", "*.cars.example"])
def test_where_an_authority_may_stand(fleet, owner):
    publish(fleet, owner=OwnerName.parse(owner, wildcard=True))
    assert fleet.served(owner.replace("*", "ann")) != []


def test_one_devices_name_is_not_an_authoritys(fleet):
    for owner in ("car54._device.cars.example", "cars.example", "ann._user.cars.example"):
        with pytest.raises(Misuse):
            publish(fleet, owner=OwnerName.parse(owner))


@pytest.mark.parametrize("usage", [Usage.DANE_EE, Usage.PKIX_EE])
def test_a_wildcard_takes_no_usage_that_names_a_key(fleet, usage):
    with pytest.raises(Misuse):
        publish(fleet, usage=usage)
    with pytest.raises(Misuse):
        fleet.publish(WILDCARD, "TLSA", f"{int(usage)} 1 1 {'ab' * 32}")
    assert fleet.served("any._device.cars.example") == []


@pytest.mark.parametrize(
    "der",
    [
        certificate(ca=False),
        certificate(ca=None),
        certificate(days=-0.5),
        certificate(started=1),
        certificate(key=rsa.generate_private_key(public_exponent=65537, key_size=1024)),
        certificate(key=ec.generate_private_key(ec.SECP256K1())),
        certificate(extensions=[x509.ExtendedKeyUsage([x509.ObjectIdentifier(SERVER_AUTH)])]),
        certificate(extensions=[constraints("hire.example")]),
        Credential.generate("car54._device.cars.example", now=NOW).chain[0],
    ],
    ids=["no-ca", "unmarked", "expired", "not-yet", "rsa-1024", "odd-curve", "for-servers", "other-names", "a-device"],
)
def test_authorities_that_no_verifier_would_take(fleet, der):
    with pytest.raises(Misuse):
        publish(fleet, der)
    assert list(fleet.inventory.authorities.all()) == []


def test_what_is_no_certificate(fleet):
    with pytest.raises(Malformed):
        publish(fleet, b"nonsense")


def advised(der, *, usage=Usage.DANE_TA, selector=Selector.CERT):
    admitted = AuthorityCertificate.admit(der, owner=OWNER, now=NOW)
    return " ".join(admitted.advice(OWNER, usage, selector, now=NOW))


def test_a_good_authority_gets_no_advice():
    made = certificate(
        ca=None,
        extensions=[
            x509.BasicConstraints(ca=True, path_length=0),
            constraints("cars.example"),
            x509.ExtendedKeyUsage([x509.ObjectIdentifier(CLIENT_AUTH)]),
        ],
    )
    assert advised(made) == ""
    assert AuthorityCertificate.admit(made, owner=OWNER, now=NOW).permits == ("cars.example",)


@pytest.mark.parametrize(
    ("der", "options", "word"),
    [
        (certificate(days=30), {}, "ends at"),
        (DER, {}, "no name constraint"),
        (certificate(), {}, "pathLenConstraint"),
        (DER, {"selector": Selector.SPKI}, "Selector 1"),
        (DER, {"usage": Usage.PKIX_TA}, "Usage 0"),
    ],
)
def test_what_is_unwise_is_said(der, options, word):
    assert word in advised(der, **options)


def test_two_authorities_of_one_name_need_one_digest(fleet):
    publish(fleet)
    other = authority(1).chain[0]
    with pytest.raises(Misuse):
        publish(fleet, other, matching_type=MatchingType.SHA2_512)
    publish(fleet, other)
    publish(fleet, other, selector=Selector.SPKI, matching_type=MatchingType.SHA2_512)
    assert len(fleet.served("any._device.cars.example")) == 3
    assert [len(found.records) for found in fleet.inventory.authorities.all()] == [1, 2]


def test_revoking_an_authority_leaves_the_others(fleet):
    publish(fleet)
    publish(fleet, authority(1).chain[0])
    gone = fleet.inventory.authorities.revoke(OWNER, DER, reason="lost its key", **fleet.acting)
    assert (gone.state, gone.records, gone.revoked_at) == (IdentityState.REVOKED, (), NOW)
    assert fleet.served("any._device.cars.example") == [authority(1).tlsa().to_text()]
    assert fleet.events(WILDCARD)[-1] == ("revoke-authority", "lost its key")
    with pytest.raises(NotInInventory):
        fleet.inventory.authorities.revoke(OWNER, DER, **fleet.acting)
    publish(fleet)
    assert len(fleet.served("any._device.cars.example")) == 2


def test_a_key_that_two_certificates_share_stays_for_the_other(fleet):
    key = ec.generate_private_key(ec.SECP256R1())
    first, second = certificate(key=key), certificate(key=key, days=9999)
    publish(fleet, first, selector=Selector.SPKI)
    publish(fleet, second)
    fleet.inventory.authorities.revoke(OWNER, second, **fleet.acting)
    served = fleet.served("any._device.cars.example")
    assert served == [tlsa_for_certificate(first, Usage.DANE_TA, Selector.SPKI).to_text()]


def test_whom_it_concerns_is_counted(fleet):
    made = publish(fleet)
    fleet.register("car1._device.cars.example")
    fleet.register("car2._device.cars.example", records=[authority().tlsa()])
    fleet.register("car3._device.hire.example")
    fleet.inventory.blocks.block(ClientName.parse("car4._device.cars.example"), **fleet.acting)
    reach = fleet.inventory.authorities.reach(made)
    assert (reach.registered, reach.blocked, reach.vouched_by_name) == (2, 1, 1)


def test_authorities_are_found(fleet):
    publish(fleet)
    users = OwnerName.parse("_user.cars.example")
    publish(fleet, owner=users)
    assert [found.owner for found in fleet.inventory.authorities.all(owner=users)] == [users]
    fleet.inventory.authorities.revoke(OWNER, DER, **fleet.acting)
    assert [found.owner for found in fleet.inventory.authorities.all(state=IdentityState.ACTIVE)] == [users]
