"""Content-Digest: the digest that ties the content of a message to its signed fields.

The content is the octets on the wire, before any Content-Encoding is undone. Every digest that is there must be of an
algorithm that is known and agree: a field with one wrong digest is not saved by another. Sections: RFC 9530 sections 2
and 5 (SHA-256 and SHA-512 alone are fit for signatures).
"""

import hashlib
from collections.abc import Callable, Mapping
from hmac import compare_digest
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from dnsbound.credential.signature import BadSignature
from dnsbound.objects.http_signatures.structured import byte_sequence, dictionary, text_of_dictionary

if TYPE_CHECKING:
    from hashlib import _Hash

FIELD: Final = "content-digest"
_HASHES: Final[Mapping[str, Callable[[], "_Hash"]]] = MappingProxyType(
    {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}
)


def content_digest(content: bytes) -> str:
    """The field's value for this content, which may be empty."""
    return text_of_dictionary({"sha-256": hashlib.sha256(content).digest()})


def check_content(value: str, content: bytes) -> None:
    """BadSignature unless every digest of the field is the content's; Malformed when the field is none."""
    digests = dictionary(value, FIELD)
    if not digests:
        raise BadSignature("Content-Digest is empty")
    for algorithm, member in digests.items():
        make = _HASHES.get(algorithm)
        if make is None:
            raise BadSignature(f"Content-Digest has an algorithm that is not taken: {algorithm[:20]!r}")
        hashed = make()
        hashed.update(content)
        if not compare_digest(byte_sequence(member, FIELD), hashed.digest()):
            raise BadSignature("the content is not the one that was signed")
