"""`Signature-Input` and `Signature`: which signatures a message carries, and what each says of itself.

A message may carry signatures of several parties, each under a label that nothing protects. The one that counts here is
found by its tag, which is signed, and there must be one alone: with two, it would be a matter of order who is speaking.
Sections: RFC 9421 sections 2.3, 4.1 to 4.3 and 7.2.5.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from dnsbound.errors import LimitExceeded, Malformed
from dnsbound.http_limits import HTTP_NONCE_CHARACTERS, HTTP_SIGNATURE_OCTETS, HTTP_SIGNATURES
from dnsbound.names import ClientName
from dnsbound.objects.http_signatures.message import HttpRequest, HttpResponse, lines
from dnsbound.objects.http_signatures.signing_input import Component, components_of, signature_base
from dnsbound.objects.http_signatures.structured import (
    Member,
    Parameters,
    byte_sequence,
    dictionary,
    inner_list,
    text_of_dictionary,
)

TAG: Final = "dnsbound"
SIGNATURE_INPUT: Final = "signature-input"
SIGNATURE: Final = "signature"
_PARAMETERS: Final[Mapping[str, type]] = {
    "created": int,
    "expires": int,
    "nonce": str,
    "alg": str,
    "keyid": str,
    "tag": str,
}
_LARGEST_MOMENT: Final = 253_402_300_799
"""The end of the year 9999."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureParameters:
    """What a signature says of itself (RFC 9421 section 2.3); all of it is signed."""

    name: ClientName
    """`keyid`: the signer."""
    created: int
    expires: int
    alg: str | None
    nonce: str | None
    """Of a request; a response answers one request alone, and has none."""

    @classmethod
    def parse(cls, parameters: Parameters) -> Self:
        """Malformed for a parameter that is unknown, missing, or of another type."""
        for name, value in parameters.items():
            if _PARAMETERS.get(name) is not type(value):
                raise Malformed(f"the signature has a parameter {name[:40]!r} that is not taken, or of another type")
        missing = [name for name in ("created", "expires", "keyid") if name not in parameters]
        if missing:
            raise Malformed(f"the signature does not say {', '.join(missing)}")
        created, expires, nonce = parameters["created"], parameters["expires"], parameters.get("nonce")
        if not 0 <= created <= expires <= _LARGEST_MOMENT:
            raise Malformed("the signature ends before it was made")
        if nonce is not None and not HTTP_NONCE_CHARACTERS.minimum <= len(nonce) <= HTTP_NONCE_CHARACTERS.default:
            raise Malformed(f"the nonce has {len(nonce)} characters")
        return cls(
            name=ClientName.parse(parameters["keyid"]),
            created=created,
            expires=expires,
            alg=parameters.get("alg"),
            nonce=nonce,
        )

    @property
    def parameters(self) -> Parameters:
        said: dict[str, Any] = {
            "created": self.created,
            "expires": self.expires,
            "nonce": self.nonce,
            "keyid": self.name.text,
            "alg": self.alg,
            "tag": TAG,
        }
        return {name: value for name, value in said.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedSignature:
    """The signature of a message that is meant for us."""

    label: str
    components: tuple[Component, ...]
    items: tuple[Member, ...]
    """The components as they are written."""
    parameters: Parameters
    said: SignatureParameters
    signature: bytes

    @classmethod
    def find(cls, message: HttpRequest | HttpResponse) -> Self | None:
        """The one signature with our tag; None when there is none. Malformed, LimitExceeded."""
        inputs, signatures = (_members(message, field) for field in (SIGNATURE_INPUT, SIGNATURE))
        ours = [label for label, (_, parameters) in inputs.items() if parameters.get("tag") == TAG]
        if not ours:
            return None
        if len(ours) > 1:
            raise Malformed(f"{len(ours)} signatures have the tag {TAG}")
        label = ours[0]
        if label not in signatures:
            raise Malformed("Signature has not the label of Signature-Input")
        items, parameters = inner_list(inputs[label], "Signature-Input")
        return cls(
            label=label,
            components=components_of(items),
            items=tuple(items),
            parameters=parameters,
            said=SignatureParameters.parse(parameters),
            signature=byte_sequence(signatures[label], "Signature"),
        )

    def base(self, message: HttpRequest | HttpResponse) -> bytes:
        """What was signed. Malformed where the message has not what is covered; LimitExceeded."""
        return signature_base(message, self.components, self.items, self.parameters)


def fields_of_signature(
    label: str, components: tuple[Component, ...], parameters: Parameters, signature: bytes
) -> tuple[tuple[str, str], tuple[str, str]]:
    """Signature-Input and Signature, to be added to a message."""
    items = [component.item for component in components]
    return (
        ("Signature-Input", text_of_dictionary({label: (items, parameters)})),
        ("Signature", text_of_dictionary({label: signature})),
    )


def _members(message: HttpRequest | HttpResponse, field: str) -> dict[str, Member]:
    """The members of every line of a field; there are no more than one message may have."""
    value = ", ".join(lines(message.fields, field))
    if len(value) > HTTP_SIGNATURE_OCTETS.default:
        raise LimitExceeded(HTTP_SIGNATURE_OCTETS.name, f"{field} of {len(value)} octets")
    members = dictionary(value, field)
    if len(members) > HTTP_SIGNATURES.default:
        raise LimitExceeded(HTTP_SIGNATURES.name, f"{len(members)} signatures")
    return members
