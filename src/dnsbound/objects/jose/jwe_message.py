"""A JWE as it stands on the wire: compact, flattened or general, read strictly (RFC 7516 sections 3, 4 and 7).

Header members that stand in two places, `zip`, any `crit` and an `enc` that is not protected are refused: none of them
is needed by anybody, and each makes two readers see two messages. Nothing is decrypted here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from dnsbound.errors import LimitExceeded, Malformed
from dnsbound.object_limits import ENCRYPTED_RECIPIENTS, OBJECT_HEADER_OCTETS, OBJECT_OCTETS
from dnsbound.objects.jose import base64url
from dnsbound.objects.jose.content_encryption import CONTENT, ContentCipher, Encrypted
from dnsbound.objects.jose.strict_json import read_object, write_object

_REFUSED: Final = {
    "zip": "compression is not used: a small message could become a large one",
    "crit": "no extension of JWE is understood here",
    "p2c": "nothing is encrypted by passwords",
    "p2s": "nothing is encrypted by passwords",
}
_MEMBERS: Final = frozenset(
    {"protected", "unprotected", "iv", "aad", "ciphertext", "tag", "recipients", "header", "encrypted_key"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JweEntry:
    """One recipient. header: what stands in all three places together."""

    header: Mapping[str, Any]
    encrypted_key: bytes = field(repr=False)

    def text(self, member: str) -> str | None:
        """Malformed for something else than a text."""
        value = self.header.get(member)
        if value is not None and not isinstance(value, str):
            raise Malformed(f"{member} of a JWE is not a text")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class JweMessage:
    """A JWE that parses."""

    protected: Mapping[str, Any]
    protected_text: bytes
    """As it is authenticated: in base64url, octet for octet as it came."""
    entries: tuple[JweEntry, ...]
    content: Encrypted
    additional_text: bytes | None = None
    """`aad` in base64url."""

    @classmethod
    def parse(cls, token: str | bytes, *, limit: int | None = None) -> Self:
        """limit: octets, OBJECT_OCTETS by default. Malformed, LimitExceeded."""
        longest = OBJECT_OCTETS.checked(limit)
        if len(token) > longest:
            raise LimitExceeded(OBJECT_OCTETS.name, f"a JWE of {len(token)} octets, {longest} are read")
        try:
            octets = token.encode("utf-8") if isinstance(token, str) else token
        except UnicodeEncodeError as error:
            raise Malformed("JWE is no text", error.start) from None
        if octets.lstrip(b" \t\r\n").startswith(b"{"):
            return cls._from_json(octets)
        return cls._from_compact(octets)

    @classmethod
    def _from_compact(cls, octets: bytes) -> Self:
        parts = octets.split(b".", 5)
        if len(parts) != 5:
            raise Malformed("JWE has not five parts")
        protected = _protected(parts[0])
        key, *content = (base64url.decode(part, "JWE") for part in parts[1:])
        entry = _entry(protected, {}, {}, key)
        return cls(protected=protected, protected_text=parts[0], entries=(entry,), content=Encrypted(*content))

    @classmethod
    def _from_json(cls, octets: bytes) -> Self:
        members = read_object(octets, "JWE")
        unknown = members.keys() - _MEMBERS
        if unknown:
            raise Malformed(f"JWE has a member {min(unknown)[:40]!r} of no standard")
        protected_text = _ascii(members.get("protected"), "protected")
        protected = _protected(protected_text)
        shared = _object(members.get("unprotected", {}), "unprotected")
        entries = tuple(
            _entry(protected, shared, header, base64url.decode_member(key, "encrypted_key") if key != "" else b"")
            for header, key in _recipients(members)
        )
        iv, ciphertext, tag = (base64url.decode_member(members.get(name), name) for name in ("iv", "ciphertext", "tag"))
        aad = None if "aad" not in members else _ascii(members["aad"], "aad")
        if aad is not None:
            base64url.decode(aad, "aad")
        return cls(
            protected=protected,
            protected_text=protected_text,
            entries=entries,
            content=Encrypted(iv, ciphertext, tag),
            additional_text=aad,
        )

    @property
    def authenticated(self) -> bytes:
        """RFC 7516 section 5.1, step 14."""
        return (
            self.protected_text if self.additional_text is None else self.protected_text + b"." + self.additional_text
        )

    @property
    def cipher(self) -> ContentCipher:
        """Malformed for an `enc` that is not used here."""
        name = self.protected.get("enc")
        if not isinstance(name, str) or name not in CONTENT:
            raise Malformed("JWE has no protected enc that is used here")
        return CONTENT[name]

    def text(self, member: str) -> str | None:
        """A protected text; None without it."""
        value = self.protected.get(member)
        if value is not None and not isinstance(value, str):
            raise Malformed(f"{member} of a JWE is not a text")
        return value

    def to_compact(self) -> str:
        """For a message whose only recipient's header is all protected."""
        parts = (self.entries[0].encrypted_key, *self.content)
        return b".".join((self.protected_text, *map(base64url.encode, parts))).decode("ascii")

    def to_json(self) -> str:
        """General form: each recipient with what its header has beside the protected one."""
        recipients = [
            {
                "header": {name: value for name, value in entry.header.items() if name not in self.protected},
                "encrypted_key": base64url.encode(entry.encrypted_key).decode("ascii"),
            }
            for entry in self.entries
        ]
        iv, ciphertext, tag = (base64url.encode(part).decode("ascii") for part in self.content)
        members = {"protected": self.protected_text.decode("ascii"), "recipients": recipients}
        return write_object(members | {"iv": iv, "ciphertext": ciphertext, "tag": tag}).decode("ascii")


def _recipients(members: Mapping[str, Any]) -> Sequence[tuple[dict[str, Any], object]]:
    """Header and key of each, of either JSON form."""
    if "recipients" not in members:
        return [(_object(members.get("header", {}), "header"), members.get("encrypted_key", ""))]
    entries = members["recipients"]
    if "header" in members or "encrypted_key" in members:
        raise Malformed("JWE is both of general and of flattened form")
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise Malformed("JWE has recipients that are no list of objects")
    if len(entries) > ENCRYPTED_RECIPIENTS.default:
        raise LimitExceeded(ENCRYPTED_RECIPIENTS.name, f"{len(entries)} recipients")
    return [(_object(entry.get("header", {}), "header"), entry.get("encrypted_key", "")) for entry in entries]


def _protected(text: bytes) -> dict[str, Any]:
    if len(text) > OBJECT_HEADER_OCTETS.default:
        raise LimitExceeded(OBJECT_HEADER_OCTETS.name, f"a header of {len(text)} octets")
    return read_object(base64url.decode(text, "protected header of a JWE"), "protected header of a JWE")


def _entry(
    protected: Mapping[str, Any], shared: Mapping[str, Any], own: Mapping[str, Any], encrypted_key: bytes
) -> JweEntry:
    header: dict[str, Any] = {}
    for part in (protected, shared, own):
        twice = header.keys() & part.keys()
        if twice:
            raise Malformed(f"JWE has header {min(twice)[:40]!r} in two places")
        header |= part
    for name, why in _REFUSED.items():
        if name in header:
            raise Malformed(f"JWE has header {name}: {why}")
    return JweEntry(header=header, encrypted_key=encrypted_key)


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Malformed(f"{what} of a JWE is not an object")
    return value


def _ascii(value: object, what: str) -> bytes:
    if not isinstance(value, str) or not value.isascii():
        raise Malformed(f"{what} of a JWE is not a base64url text")
    return value.encode("ascii")
