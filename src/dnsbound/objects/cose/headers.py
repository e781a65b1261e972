"""The two buckets of header parameters of a COSE message: protected and unprotected (RFC 9052 section 3).

What decides anything is read from the protected bucket alone: algorithm, signer, types, digests. A label stands in one
bucket once. Not here: what a parameter means to one kind of message.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, Self, TypeAlias

from dnsbound.errors import Malformed
from dnsbound.objects.cbor import from_cbor, to_cbor
from dnsbound.objects.cose.labels import Header

Label: TypeAlias = int | str
HeaderMap: TypeAlias = Mapping[Label, Any]

_NOTHING: Final[HeaderMap] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Headers:
    """Both buckets of one message, or of one of its recipients."""

    protected: HeaderMap
    unprotected: HeaderMap
    protected_octets: bytes
    """As they are signed or authenticated: the octets that came; none for an empty map."""

    @classmethod
    def of(cls, protected: HeaderMap, unprotected: HeaderMap = _NOTHING) -> Self:
        """For a message that is made."""
        octets = to_cbor(dict(protected)) if protected else b""
        return cls(protected=protected, unprotected=unprotected, protected_octets=octets)

    @classmethod
    def from_items(cls, protected: object, unprotected: object, what: str) -> Self:
        """Read the first two members of a message. what: the message, for errors."""
        if not isinstance(protected, bytes):
            raise Malformed(f"{what} has protected headers that are no byte string")
        decoded = _decoded(protected, what)
        if not isinstance(decoded, Mapping) or not isinstance(unprotected, dict):
            raise Malformed(f"{what} has headers that are no map")
        twice = decoded.keys() & unprotected.keys()
        if twice:
            raise Malformed(f"{what} has header {_shown(min(twice, key=str))} in both buckets")
        made = cls(protected=decoded, unprotected=unprotected, protected_octets=protected if decoded else b"")
        made._check_initialisation_vector(what)
        return made

    def to_items(self) -> list[Any]:
        return [self.protected_octets, dict(self.unprotected)]

    def algorithm(self, what: str) -> int:
        """The protected algorithm; Malformed without one."""
        number = self.protected.get(Header.ALG)
        if isinstance(number, bool) or not isinstance(number, int):
            raise Malformed(f"{what} has no algorithm by number among its protected headers")
        return number

    def check_critical(self, understood: frozenset[int], what: str) -> None:
        """RFC 9052 section 3.1: who does not understand a header that is critical refuses the message."""
        if Header.CRIT in self.unprotected:
            raise Malformed(f"{what} has crit among its unprotected headers")
        if Header.CRIT not in self.protected:
            return
        labels = self.protected[Header.CRIT]
        if not isinstance(labels, list) or not labels:
            raise Malformed(f"{what} has a crit that is no list of labels")
        for label in labels:
            if isinstance(label, bool) or not isinstance(label, int | str):
                raise Malformed(f"{what} has a crit that is no list of labels")
            if label not in self.protected:
                raise Malformed(f"{what} has header {_shown(label)} as critical, and not among its protected headers")
            if label not in understood:
                raise Malformed(f"{what} has a critical header that is not understood here: {_shown(label)}")

    def octets(self, label: Header, what: str) -> bytes | None:
        """A protected byte string; None without it."""
        value = self.protected.get(label)
        if value is not None and not isinstance(value, bytes):
            raise Malformed(f"{what} has a {label.name.lower()} that is no byte string")
        return value

    def either(self, label: Header) -> Any:  # noqa: ANN401 (whatever stands there)
        """From whichever bucket has it: for what need not be protected."""
        return self.protected.get(label, self.unprotected.get(label))

    def text_or_number(self, label: Header, what: str) -> str | int | None:
        """A protected media type, or the number of a CoAP content format (RFC 9596 section 2)."""
        value = self.protected.get(label)
        if label in self.protected and (
            isinstance(value, bool) or not isinstance(value, str | int) or (isinstance(value, int) and value < 0)
        ):
            raise Malformed(f"{what} has a {label.name.lower()} that is neither text nor number")
        if isinstance(value, str) and not value:
            raise Malformed(f"{what} has an empty {label.name.lower()}")
        return value

    def _check_initialisation_vector(self, what: str) -> None:
        both = self.protected.keys() | self.unprotected.keys()
        if {Header.IV, Header.PARTIAL_IV} <= both:
            raise Malformed(f"{what} has both an IV and a partial IV")


_KEPT_OCTETS: Final = 4096
"""Longer headers are read anew each time: what strangers make us keep stays small."""


def _decoded(protected: bytes, what: str) -> Any:  # noqa: ANN401 (whatever it is)
    return _kept(protected, what) if len(protected) <= _KEPT_OCTETS else _read(protected, what)


@lru_cache(maxsize=1024)
def _kept(protected: bytes, what: str) -> Any:  # noqa: ANN401 (whatever it is)
    """A signer's headers are the same in every object. Not to be changed: they are shared."""
    return _read(protected, what)


def _read(protected: bytes, what: str) -> Any:  # noqa: ANN401 (whatever it is)
    decoded = from_cbor(protected, f"protected headers of {what}") if protected else {}
    return MappingProxyType(decoded) if isinstance(decoded, dict) else decoded


def _shown(label: Label) -> str:
    return repr(label)[:40] if isinstance(label, str) else str(label)
