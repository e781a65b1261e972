"""Where a wildcard speaks for somebody it should not, and where it is silenced."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from dnsbound.credential.certificate_parsing import certificate_from_der
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.errors import Malformed
from dnsbound.names import ClientName
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.ownership.gaps import LETS_IN, GapKind
from dnsbound.provision.ownership.revocation_list import RevocationList
from unit.fleets import NOW, WILDCARD, authority

CAR = "car54._device.cars.example"


def revocation_list(*certificates, issuer=None, reasons=None, encoding=Encoding.PEM):
    """A list signed by the authority that speaks for the devices."""
    signer = issuer or authority()
    now = datetime.fromtimestamp(NOW, UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(certificate_from_der(signer.chain[0]).subject)
        .last_update(now)
        .next_update(now + timedelta(days=7))
    )
    for der, reason in zip(certificates, reasons or [None] * len(certificates), strict=True):
        serial = certificate_from_der(der).serial_number
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
        if reason is not None:
            entry = entry.add_extension(x509.CRLReason(reason), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(signer.private_key, hashes.SHA256()).public_bytes(encoding)


def found(gaps):
    return {(gap.kind, gap.name.text) for gap in gaps}


def test_a_fleet_in_order_has_no_gaps(fleet):
    fleet.publish_authority()
    fleet.register(CAR)
    fleet.register("car55._device.cars.example")
    fleet.revoke("car55._device.cars.example")
    assert list(fleet.inventory.gaps()) == []


def test_names_revoked_before_there_was_a_wildcard(fleet):
    for label in ("car1", "car2", "car3"):
        fleet.register(f"{label}._device.cars.example")
        fleet.revoke(f"{label}._device.cars.example")
    fleet.register("car2._device.cars.example")
    fleet.register("van1._device.hire.example")
    fleet.revoke("van1._device.hire.example")
    fleet.publish_authority()
    fleet.inventory.blocks.block(ClientName.parse("car3._device.cars.example"), **fleet.acting)
    [gap] = fleet.inventory.gaps()
    assert (gap.kind, gap.name.text, gap.wildcard.text) == (GapKind.REVOKED, "car1._device.cars.example", WILDCARD)
    assert "car1" in gap.sentence
    assert gap.remedy == "dnsbound id block car1._device.cars.example"
    fleet.inventory.blocks.block(ClientName.parse("car1._device.cars.example"), **fleet.acting)
    assert list(fleet.inventory.gaps()) == []


def test_a_name_revoked_twice_is_told_once(fleet):
    for _ in range(2):
        fleet.register(CAR)
        fleet.revoke(CAR)
    fleet.publish_authority()
    assert found(fleet.inventory.gaps()) == {(GapKind.REVOKED, CAR)}


def test_an_unblocked_name_is_a_gap_again(fleet):
    fleet.publish_authority()
    fleet.register(CAR)
    fleet.revoke(CAR)
    fleet.inventory.blocks.lift(ClientName.parse(CAR), **fleet.acting)
    assert found(fleet.inventory.gaps()) == {(GapKind.REVOKED, CAR)}


def test_the_wildcard_that_speaks_is_the_one_that_is_named(fleet):
    fleet.register(CAR)
    fleet.revoke(CAR)
    fleet.publish_authority("*.cars.example")
    [gap] = fleet.inventory.gaps()
    assert gap.wildcard.text == "*.cars.example"
    fleet.publish_authority("*._device.cars.example")
    [gap] = fleet.inventory.gaps()
    assert gap.wildcard.text == WILDCARD


def test_names_that_a_deeper_record_silences(fleet):
    fleet.publish_authority()
    fleet.register("a.b.c._device.cars.example")
    fleet.register("x.b.c._device.cars.example")
    fleet.register("one-label._device.cars.example")
    gaps = list(fleet.inventory.gaps())
    assert [(gap.kind, gap.name.text) for gap in gaps] == [
        (GapKind.SILENCED, "c._device.cars.example"),
        (GapKind.SILENCED, "b.c._device.cars.example"),
    ]
    assert GapKind.SILENCED not in LETS_IN
    fleet.publish_authority("*.b.c._device.cars.example")
    assert found(fleet.inventory.gaps()) == {(GapKind.SILENCED, "c._device.cars.example")}
    fleet.register("c._device.cars.example")
    assert list(fleet.inventory.gaps()) == []


def test_underscores_and_hyphens_are_no_patterns(fleet):
    """The underscore is a wildcard of SQL's LIKE, and the hyphen sorts before the dot."""
    fleet.publish_authority("*._device.cars.example")
    fleet.register("a.xdevice.cars.example")
    for name in ("a.b", "a.b-c", "a.b.c", "b-c"):
        fleet.register(f"{name}._device.cars.example")
    names = {"b._device.cars.example", "c._device.cars.example", "b.c._device.cars.example"}
    assert {gap.name.text for gap in fleet.inventory.gaps()} == names


def test_listed_certificates_below_a_wildcard(fleet):
    fleet.publish_authority()
    leaves = {label: authority().issue(f"{label}._device.cars.example", now=NOW) for label in "abcd"}
    fleet.register(
        "a._device.cars.example", spki=leaves["a"].spki, records=[leaves["a"].tlsa()], certificate=leaves["a"].chain[0]
    )
    fleet.inventory.blocks.block(ClientName.parse("b._device.cars.example"), **fleet.acting)
    listed = RevocationList.parse(revocation_list(*(leaves[label].chain[0] for label in "abc")))
    assert listed.length == 3
    assert listed.signer_among([authority(1).chain[0], authority().chain[0]]) == authority().chain[0]
    issued = [leaf.chain[0] for leaf in leaves.values()]
    gaps = list(fleet.inventory.gaps.listed(listed, issued))
    assert found(gaps) == {
        (GapKind.LISTED_ACTIVE, "a._device.cars.example"),
        (GapKind.LISTED, "c._device.cars.example"),
    }
    assert {gap.kind for gap in gaps} <= LETS_IN
    # Of the certificates that the inventory keeps nobody needs to be told.
    assert found(fleet.inventory.gaps.listed(listed)) == {(GapKind.LISTED_ACTIVE, "a._device.cars.example")}


def test_a_certificate_of_an_identity_that_was_revoked(fleet):
    leaf = authority().issue(CAR, now=NOW)
    fleet.register(CAR, spki=leaf.spki, records=[leaf.tlsa()], certificate=leaf.chain[0])
    fleet.revoke(CAR)
    fleet.publish_authority()
    listed = RevocationList.parse(revocation_list(leaf.chain[0], encoding=Encoding.DER))
    assert found(fleet.inventory.gaps.listed(listed)) == {(GapKind.LISTED, CAR)}


def test_serials_of_another_issuer_and_removals_are_not_listed():
    leaf = authority().issue(CAR, now=NOW).chain[0]
    assert not RevocationList.parse(revocation_list(leaf, issuer=authority(1))).lists(leaf)
    removed = revocation_list(leaf, reasons=[x509.ReasonFlags.remove_from_crl])
    assert not RevocationList.parse(removed).lists(leaf)
    assert RevocationList.parse(revocation_list(leaf, reasons=[x509.ReasonFlags.key_compromise])).lists(leaf)


def test_a_list_that_its_issuer_did_not_sign(fleet):
    """The name of the issuer is anybody's to write."""
    pretender = CertificateAuthority.create("Cars 0", now=NOW)
    listed = RevocationList.parse(revocation_list(issuer=pretender))
    assert listed.signer_among([authority().chain[0]]) is None
    assert listed.signer_among([pretender.chain[0]]) == pretender.chain[0]
    assert listed.signer_among([b"nonsense"]) is None


@pytest.mark.parametrize("octets", [b"", b"nonsense", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"])
def test_what_is_no_list(octets):
    with pytest.raises(Malformed):
        RevocationList.parse(octets)


def test_certificates_that_name_no_client(fleet):
    fleet.publish_authority()
    nameless = authority().issue(CAR, now=NOW).chain[0]
    listed = RevocationList.parse(revocation_list(nameless, authority().chain[0]))
    assert found(fleet.inventory.gaps.listed(listed, [authority().chain[0]])) == set()
    with pytest.raises(Malformed):
        list(fleet.inventory.gaps.listed(listed, [b"nonsense"]))
    assert fleet.inventory.blocks.wildcards_above(ClientName.parse(CAR)) == [OwnerName.parse(WILDCARD, wildcard=True)]
