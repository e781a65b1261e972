"""Trust anchors: keys or key digests, each bound to the name of the zone it vouches for (RFC 4033 section 2, RFC 7958).

An anchor for a name covers that name and what is below it, until a longer anchor takes over. Where no anchor covers a
name, or a negative one does, its answers are indeterminate: nothing is said about them. Reading files is `edge`'s.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Self

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
from dns.rdtypes.ANY.DNSKEY import DNSKEY
from dns.rdtypes.ANY.DS import DS

from dnsbound.dns import anchor_text
from dnsbound.dns.algorithms import key_tag
from dnsbound.dns.canonical import ROOT, Key, key_of, name_of, text_of
from dnsbound.errors import Malformed, Misuse

ROOT_ANCHORS_DATED: Final = "2026-11-22"
"""The day the built-in root anchors were last compared with IANA's published set."""

# KSK-2017 (20326) signs the root; KSK-2024 (38696) was published in January 2025 to take over from it.
_ROOT_DS: Final = (
    "20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
    "38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16",
)


@dataclass(frozen=True, slots=True)
class Anchor:
    """What vouches for one zone: digests, whole keys, or, for a negative anchor, nothing."""

    key: Key
    digests: tuple[DS, ...] = ()
    keys: tuple[DNSKEY, ...] = ()

    @property
    def name(self) -> dns.name.Name:
        return name_of(self.key)

    @property
    def is_negative(self) -> bool:
        return not self.digests and not self.keys

    @property
    def tags(self) -> tuple[int, ...]:
        """Key tags, for people and for the check that the root's key is a known one."""
        tags = {int(ds.key_tag) for ds in self.digests}
        return tuple(sorted(tags | {key_tag(key.to_digestable()) for key in self.keys}))


@dataclass(frozen=True, slots=True)
class TrustAnchors:
    """A set of anchors by zone. Immutable; `with_` and `without` make new sets."""

    by_key: Mapping[Key, Anchor] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def root(cls) -> Self:
        """The built-in anchors of the root zone (see ROOT_ANCHORS_DATED)."""
        digests = tuple(_ds(text) for text in _ROOT_DS)
        return cls(MappingProxyType({ROOT: Anchor(ROOT, digests)}))

    @classmethod
    def none(cls) -> Self:
        """No anchors: every answer is indeterminate."""
        return cls()

    @classmethod
    def from_text(cls, text: str) -> Self:
        """DS or DNSKEY records as zone-file lines, as Unbound's root.key, or as BIND's trust-anchors statement.

        Malformed names the line. A text without a single anchor is Malformed too: a trusted set is never empty by
        mistake. Keys an RFC 5011 file marks as not yet or no longer trusted are left out.
        """
        anchors: dict[Key, Anchor] = {}
        for name, rdata in anchor_text.records(text):
            key = key_of(name)
            before = anchors.get(key, Anchor(key))
            if isinstance(rdata, DS):
                anchors[key] = Anchor(key, (*before.digests, rdata), before.keys)
            else:
                anchors[key] = Anchor(key, before.digests, (*before.keys, rdata))
        if not anchors:
            raise Malformed("trust anchors: no DS or DNSKEY record in the text")
        return cls(MappingProxyType(anchors))

    @classmethod
    def of(cls, anchors: Iterable[tuple[dns.name.Name | str, DS | DNSKEY]]) -> Self:
        """From names and record data."""
        merged = cls()
        for name, rdata in anchors:
            owner = dns.name.from_text(name) if isinstance(name, str) else name
            key = key_of(owner)
            before = merged.by_key.get(key, Anchor(key))
            if isinstance(rdata, DS):
                now = Anchor(key, (*before.digests, rdata), before.keys)
            elif isinstance(rdata, DNSKEY):
                now = Anchor(key, before.digests, (*before.keys, rdata))
            else:
                raise Misuse(f"a trust anchor is DS or DNSKEY data, not {type(rdata).__name__}")
            merged = cls(MappingProxyType({**merged.by_key, key: now}))
        return merged

    def with_(self, other: "TrustAnchors") -> "TrustAnchors":
        """Both sets; where both have the name, the other's anchor counts."""
        return TrustAnchors(MappingProxyType({**self.by_key, **other.by_key}))

    def without(self, name: dns.name.Name | str) -> "TrustAnchors":
        """A negative anchor: at and below the name nothing can be validated, whatever is above it says."""
        key = key_of(dns.name.from_text(name) if isinstance(name, str) else name)
        return TrustAnchors(MappingProxyType({**self.by_key, key: Anchor(key)}))

    def closest_to(self, name: dns.name.Name | Key) -> Anchor | None:
        """The anchor of the longest name that `name` is at or below; None when there is none or it is negative."""
        key = key_of(name) if isinstance(name, dns.name.Name) else name
        for depth in range(len(key), -1, -1):
            anchor = self.by_key.get(key[:depth])
            if anchor is not None:
                return None if anchor.is_negative else anchor
        return None

    def to_text(self) -> str:
        """Zone-file lines that `from_text` reads back. Negative anchors have no such form and are left out."""
        lines = []
        for key in sorted(self.by_key):
            anchor = self.by_key[key]
            lines += [f"{text_of(key)} IN DS {ds.to_text()}" for ds in anchor.digests]
            lines += [f"{text_of(key)} IN DNSKEY {dnskey.to_text()}" for dnskey in anchor.keys]
        return "".join(f"{line}\n" for line in lines)

    def __bool__(self) -> bool:
        return bool(self.by_key)


def _ds(text: str) -> DS:
    rdata = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.DS, text)
    assert isinstance(rdata, DS)
    return rdata
