"""Signed CMS messages with one thing wrong, signed by the key they name all the same."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from dnsbound.credential.credential import Credential
from dnsbound.iana import SignatureScheme
from dnsbound.objects.cms import encoding, signed_data
from dnsbound.objects.cms.algorithms import SHA256
from dnsbound.objects.cms.recipient_info import key_identifier
from dnsbound.objects.cms.signer_certificate import issuer_and_serial_of

NAME = "car54._device.cars.example"
NOW = 1_790_000_000.0
PAYLOAD = b"twelve kilometres\n"
CAR = Credential.generate(NAME, now=NOW)
ECDSA_SHA256 = encoding.algorithm("1.2.840.10045.4.3.2")


def attribute(kind: str, *values: bytes) -> bytes:
    return encoding.sequence(encoding.identifier(kind), encoding.set_of(*values))


@dataclass(frozen=True, kw_only=True)
class Crafted:
    """What is in the message; by default all is well."""

    credential: Credential = CAR
    payload: bytes = PAYLOAD
    digested: bytes | None = None
    certificates: tuple[bytes, ...] | None = None
    identified_as: bytes | None = None
    by_key_identifier: bool = False
    content_type: str = signed_data.DATA
    encapsulated_type: str = signed_data.DATA
    message_digest: bytes | None = None
    digest_algorithm: bytes = encoding.algorithm(SHA256)
    signature_algorithm: bytes = ECDSA_SHA256
    leave_out: tuple[str, ...] = ()
    more: tuple[bytes, ...] = ()
    reverse_attributes: bool = False
    without_attributes: bool = False
    signed_tag: int = 0x31
    signers: int = 1

    def message(self) -> bytes:
        certificates = self.credential.chain if self.certificates is None else self.certificates
        body = encoding.sequence(
            encoding.integer(1),
            encoding.set_of(self.digest_algorithm),
            encoding.sequence(
                encoding.identifier(self.encapsulated_type), encoding.explicit(0, encoding.octet_string(self.payload))
            ),
            encoding.explicit(0, *certificates) if certificates else b"",
            encoding.set_of(*(self._signer() for _ in range(self.signers))),
        )
        return encoding.sequence(encoding.identifier(signed_data.SIGNED_DATA), encoding.explicit(0, body))

    def _signer(self) -> bytes:
        attributes = sorted(self._attributes(), reverse=self.reverse_attributes)
        signed = self.payload if self.without_attributes else encoding.element(self.signed_tag, *attributes)
        certificate = self.identified_as or self.credential.chain[0]
        if self.by_key_identifier:
            identifier = encoding.element(0x80, key_identifier(self.credential.spki))
        else:
            identifier = issuer_and_serial_of(certificate)
        return encoding.sequence(
            encoding.integer(3 if self.by_key_identifier else 1),
            identifier,
            self.digest_algorithm,
            b"" if self.without_attributes else encoding.explicit(0, *attributes),
            self.signature_algorithm,
            encoding.octet_string(self.credential.signer.sign(signed, SignatureScheme.ECDSA_SECP256R1_SHA256)),
        )

    def _attributes(self) -> list[bytes]:
        digest = sha256(self.payload if self.digested is None else self.digested).digest()
        own = encoding.sequence(encoding.octet_string(sha256(self.credential.chain[0]).digest()))
        protected = encoding.sequence(encoding.algorithm(SHA256), b"\xa1" + ECDSA_SHA256[1:])
        known = {
            signed_data.CONTENT_TYPE: encoding.identifier(self.content_type),
            signed_data.MESSAGE_DIGEST: encoding.octet_string(self.message_digest or digest),
            signed_data.SIGNING_TIME: encoding.time(NOW),
            signed_data.ALGORITHM_PROTECTION: protected,
            signed_data.SIGNING_CERTIFICATE: encoding.sequence(encoding.sequence(own)),
        }
        return [*(attribute(kind, value) for kind, value in known.items() if kind not in self.leave_out), *self.more]


def craft(**fields: Any) -> bytes:
    return Crafted(**fields).message()
