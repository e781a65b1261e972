"""Certificates of a domain's users."""

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ObjectIdentifier

from dnsbound.credential.certificate import client_certificate
from dnsbound.credential.credential import Credential
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.credential.keys import KeyAlgorithm, generate_private_key
from dnsbound.names import ClientName

UID = ObjectIdentifier("0.9.2342.19200300.100.1.1")
SMTP_UTF8_MAILBOX = ObjectIdentifier("1.3.6.1.5.5.7.8.9")
DOMAIN = "cars.example"
USERS = ClientName.parse(f"_user.{DOMAIN}")


def utf8(text: str) -> bytes:
    octets = text.encode()
    return bytes((0x0C, len(octets))) + octets


def uid(text: str) -> x509.OtherName:
    return x509.OtherName(UID, utf8(text))


def mailbox(text: str) -> x509.GeneralName:
    return x509.RFC822Name(text) if text.isascii() else x509.OtherName(SMTP_UTF8_MAILBOX, utf8(text))


def certified(
    authority: CertificateAuthority, *names: x509.GeneralName, now: float, dns_name: str = DOMAIN
) -> Credential:
    """A user's credential; its certificate has these names beside the domain."""
    key = generate_private_key(KeyAlgorithm.P256)
    template = x509.load_der_x509_certificate(
        client_certificate(key.public_key(), ClientName.parse(dns_name), issuer=authority._issuer, now=now)
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(template.subject)
        .issuer_name(template.issuer)
        .public_key(key.public_key())
        .serial_number(template.serial_number)
        .not_valid_before(template.not_valid_before_utc)
        .not_valid_after(template.not_valid_after_utc)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(dns_name), *names]), critical=False)
    )
    leaf = builder.sign(authority.private_key, template.signature_hash_algorithm)
    return Credential(USERS, key, (leaf.public_bytes(serialization.Encoding.DER), *authority.chain))
