"""Where enrolment reads octets of strangers: requests, HTTP's own, and what a server answers to a device."""

from functools import cache

from dnsbound.credential.certificate_request import CertificateRequest, certificate_request
from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import KeyAlgorithm, generate_private_key
from dnsbound.names import ClientName
from dnsbound.provision.enrolment import est_messages as wire
from dnsbound.provision.enrolment.permission import key_digest_of_text
from fuzz.target import Target, text

NAME = ClientName.parse("car54._device.cars.example")


@cache
def requests() -> list[bytes]:
    """Of three kinds of keys; one is linked to a connection."""
    kinds = (KeyAlgorithm.P256, KeyAlgorithm.ED25519, KeyAlgorithm.MLDSA44)
    made = [certificate_request(generate_private_key(kind), NAME) for kind in kinds]
    return [*made, certificate_request(generate_private_key(KeyAlgorithm.P256), NAME, challenge="A" * 44)]


def answers() -> list[bytes]:
    return [wire.certs_only(Credential.generate(NAME, now=1_790_000_000.0).chain)]


ENROLMENT_TARGETS: dict[str, Target] = {
    "certificate-request": Target(CertificateRequest.from_der, requests),
    "enrolment-body": Target(wire.from_base64, lambda: [wire.to_base64(octets) for octets in requests()]),
    "enrolment-answer": Target(wire.certificates_of, answers),
    "enrolment-basic": Target(
        lambda octets: wire.BasicCredentials.parse([text(octets)]),
        lambda: [wire.BasicCredentials(user=NAME.text, password="dnsbound-enrol-x").to_text().encode()],
    ),
    "key-digest": Target(lambda octets: key_digest_of_text(text(octets)), lambda: [b"ab" * 32, b"AB:" * 31 + b"AB"]),
}
