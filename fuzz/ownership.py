"""What other organisations hand over: transfers of identities, revocation lists, certificates of authorities."""

import hashlib
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from dnsbound.credential.certificate_parsing import certificate_from_der
from dnsbound.credential.credential import Credential
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.names import ClientName
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.ownership.authority_certificate import AuthorityCertificate
from dnsbound.provision.ownership.revocation_list import RevocationList
from dnsbound.provision.ownership.transfer_file import TransferFile
from dnsbound.records.tlsa import TLSA
from fuzz.target import Target, text

NAME = ClientName.parse("car54._device.cars.example")
NOW = 1_790_000_000.0
WILDCARD = OwnerName.parse("*._device.cars.example", wildcard=True)


@cache
def authority() -> CertificateAuthority:
    return CertificateAuthority.create("Cars", now=NOW, path_length=0)


def transfers() -> list[bytes]:
    credential = Credential.generate(NAME, now=NOW)
    file = TransferFile(
        name=NAME,
        spki=credential.spki,
        certificate=credential.chain[0],
        records=(TLSA(3, 1, 1, hashlib.sha256(credential.spki).digest()),),
        exported_at=NOW,
        valid_until=NOW + 86_400,
        history=((NOW, "register"),),
    )
    return [file.to_text().encode()]


def lists() -> list[bytes]:
    now = datetime.fromtimestamp(NOW, UTC)
    listed = certificate_from_der(authority().issue(NAME, now=NOW).chain[0]).serial_number
    entry = x509.RevokedCertificateBuilder().serial_number(listed).revocation_date(now)
    entry = entry.add_extension(x509.CRLReason(x509.ReasonFlags.key_compromise), critical=False)
    made = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(certificate_from_der(authority().chain[0]).subject)
        .last_update(now)
        .next_update(now + timedelta(days=7))
        .add_revoked_certificate(entry.build())
        .sign(authority().private_key, hashes.SHA256())
    )
    return [made.public_bytes(Encoding.DER), made.public_bytes(Encoding.PEM)]


def read_list(octets: bytes) -> object:
    found = RevocationList.parse(octets)
    leaf = authority().issue(NAME, now=NOW).chain[0]
    return found.lists(leaf), found.length, found.signer_among(authority().chain)


OWNERSHIP_TARGETS: dict[str, Target] = {
    "transfer-file": Target(lambda octets: TransferFile.parse(text(octets)), transfers),
    "revocation-list": Target(read_list, lists),
    "authority-certificate": Target(
        lambda octets: AuthorityCertificate.admit(octets, owner=WILDCARD, now=NOW), lambda: [authority().chain[0]]
    ),
}
