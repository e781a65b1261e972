"""Damage done to test zones on purpose: to signatures, to records, to proofs, and lies told when answering.

A fault is text, `verb owner [type] [more]`, owners relative to the zone. `FAULTS` is the whole vocabulary; each entry's
docstring says what it does. Faults apply in order, after the zone is signed; none of them signs anew unless it says so.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, cast

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.RRSIG import RRSIG

from dnsbound.errors import Misuse
from dnsbound.testing.zone_signing import Window

if TYPE_CHECKING:
    from dnsbound.testing.zones import Zone

Key = tuple[dns.name.Name, RdataType]
Words = list[str]
DAY: Final = 86_400


@dataclass(slots=True, kw_only=True)
class Lies:
    """What the answering side does instead of the right thing; `zone_answers` reads it."""

    absent_types: set[Key] = field(default_factory=set)
    absent_names: set[dns.name.Name] = field(default_factory=set)
    silent: set[Key] = field(default_factory=set)
    hidden: set[dns.name.Name] = field(default_factory=set)
    """Owners of NSEC and NSEC3 records that are left out of every answer."""
    swapped: dict[dns.name.Name, dns.name.Name] = field(default_factory=dict)
    rcodes: dict[dns.name.Name, str] = field(default_factory=dict)
    synthesis: dict[dns.name.Name, dns.name.Name | None] = field(default_factory=dict)
    expansions: dict[dns.name.Name, dns.name.Name] = field(default_factory=dict)
    claims: set[dns.name.Name] = field(default_factory=set)
    """Delegations and DNAMEs the zone answers below of, as if they were plain names."""
    compact_owners: dict[dns.name.Name, dns.name.Name] = field(default_factory=dict)
    own_ds: bool = False


def apply_fault(zone: "Zone", text: str) -> None:
    """Do one piece of damage; raises Misuse for a fault that cannot be done to this zone."""
    verb, *words = text.split()
    if verb not in FAULTS:
        raise Misuse(f"no such fault: {text!r}")
    try:
        FAULTS[verb](zone, words)
    except (KeyError, IndexError, ValueError) as error:
        raise Misuse(f"fault {text!r} does not fit zone {zone.origin}: {error!r}") from error


# -- signatures


def _window(before: int, after: int) -> Callable[["Zone", Words], None]:
    def fault(zone: "Zone", words: Words) -> None:
        """Sign again with a window that starts `before` seconds ago and ends in `after` seconds."""
        zone.sign_again(*_key(zone, words), window=Window.around(zone.now, before=before, after=after))

    return fault


def _unsigned(zone: "Zone", words: Words) -> None:
    """Leave the RRSIGs of the RRset out."""
    del zone.signatures[_key(zone, words)]


def _stripped(zone: "Zone", words: Words) -> None:  # noqa: ARG001 every fault has one shape
    """Leave every RRSIG of the zone out, as a resolver that knows nothing of DNSSEC does."""
    zone.signatures.clear()


def _flip(zone: "Zone", words: Words) -> None:
    """Turn one bit of each signature."""
    _change_signatures(zone, words, lambda old: {"signature": bytes([old.signature[0] ^ 1]) + old.signature[1:]})


def _field(name: str) -> Callable[["Zone", Words], None]:
    def fault(zone: "Zone", words: Words) -> None:
        """State another number (third word) in one field of each RRSIG, without signing again."""
        number = int(words[2])
        _change_signatures(zone, words, lambda _: {name: number})

    return fault


def _signer(zone: "Zone", words: Words) -> None:
    """Sign again, naming another zone (third word) as the signer."""
    zone.sign_again(*_key(zone, words), signer=_name(zone, words[2]))


def _relabel(zone: "Zone", words: Words) -> None:
    """Sign again, with another number (third word) in the Labels field."""
    zone.sign_again(*_key(zone, words), labels=int(words[2]))


def _adopt(zone: "Zone", words: Words) -> None:
    """Sign an RRset that stands below a delegation of the zone, such as glue."""
    zone.sign_again(*_key(zone, words))


def _only(zone: "Zone", words: Words) -> None:
    """Sign again with the given keys alone (further words: their indices)."""
    zone.sign_again(*_key(zone, words), keys=[zone.keys[int(word)] for word in words[2:]])


def _beside(zone: "Zone", words: Words) -> None:
    """Put a spoiled copy in front of each signature: `expired`, `flipped` or `algorithm-200` (third word)."""
    key = _key(zone, words)
    good = list(zone.signatures[key])
    spoil: dict[str, Callable[[], None]] = {
        "expired": lambda: FAULTS["expired"](zone, words[:2]),
        "flipped": lambda: _flip(zone, words[:2]),
        "algorithm-200": lambda: _field("algorithm")(zone, [*words[:2], "200"]),
    }
    spoil[words[2]]()
    zone.signatures[key] += good


def _borrow(zone: "Zone", words: Words) -> None:
    """Carry the signatures of another owner's RRset of the same type (third word: that owner)."""
    key = _key(zone, words)
    zone.signatures[key] = list(zone.signatures[_name(zone, words[2]), key[1]])


def _recover(zone: "Zone", words: Words) -> None:
    """Show the owner's signatures over another type (third word) as signatures over this one."""
    key = _key(zone, words)
    others = zone.signatures[key[0], dns.rdatatype.from_text(words[2])]
    zone.signatures[key] = [cast("RRSIG", other.replace(type_covered=key[1])) for other in others]


def _empty(zone: "Zone", words: Words) -> None:
    """Leave no octet in the Signature field."""
    _change_signatures(zone, words, lambda _: {"signature": b""})


def _repeat(zone: "Zone", words: Words) -> None:
    """Put this many (third word) broken signatures, all different, in front of the good ones."""
    key = _key(zone, words)
    [good, *_] = zone.signatures[key]
    broken = [good.replace(signature=number.to_bytes(len(good.signature))) for number in range(1, int(words[2]) + 1)]
    zone.signatures[key] = [*cast("list[RRSIG]", broken), *zone.signatures[key]]


# -- records


def _alter(zone: "Zone", words: Words) -> None:
    """Replace the records by one other (further words: its data)."""
    key = _key(zone, words)
    zone.rrsets[key] = dns.rrset.from_rdata(key[0], zone.rrsets[key].ttl, _record(zone, key, words[2:]))


def _append(zone: "Zone", words: Words) -> None:
    """Put one more record (further words: its data) beside the signed ones."""
    key = _key(zone, words)
    present = zone.rrsets[key]
    zone.rrsets[key] = dns.rrset.from_rdata_list(key[0], present.ttl, [*present, _record(zone, key, words[2:])])


def _ttl(zone: "Zone", words: Words) -> None:
    """Serve the RRset with another TTL (third word) than the one it was signed with."""
    zone.rrsets[_key(zone, words)].ttl = int(words[2])


def _types(zone: "Zone", words: Words) -> None:
    """Sign again the NSEC that stands at this owner, with these types (further words) in its bitmap."""
    name = _name(zone, words[0])
    key = (zone.chain.owner_of(name), zone.chain.rdtype)
    [link] = zone.rrsets[key]
    fixed = link.to_text().split()[: 1 if zone.chain.rdtype == dns.rdatatype.NSEC else 5]
    record = dns.rdata.from_text(dns.rdataclass.IN, zone.chain.rdtype, " ".join([*fixed, *words[1:]]))
    zone.rrsets[key] = dns.rrset.from_rdata(key[0], zone.rrsets[key].ttl, record)
    zone.sign_again(*key)


# -- answers


def _hide(zone: "Zone", words: Words) -> None:
    """Never send the NSEC or NSEC3 record that matches, or else covers, this name."""
    zone.lies.hidden.add(zone.chain.speaking_of(_name(zone, words[0])))


def _swap(zone: "Zone", words: Words) -> None:
    """Send the proof that speaks of the second name wherever that of the first is due."""
    wanted, sent = (zone.chain.speaking_of(_name(zone, word)) for word in words)
    zone.lies.swapped[wanted] = sent


def _deny_type(zone: "Zone", words: Words) -> None:
    """Answer as if the owner had no such type, with the proofs there are."""
    zone.lies.absent_types.add(_key(zone, words))


def _deny_name(zone: "Zone", words: Words) -> None:
    """Answer NXDOMAIN for a name that exists, with the proofs there are."""
    zone.lies.absent_names.add(_name(zone, words[0]))


def _silence(zone: "Zone", words: Words) -> None:
    """Answer NOERROR with no record at all, not even a SOA."""
    zone.lies.silent.add((_name(zone, words[0]), dns.rdatatype.from_text(words[1])))


def _rcode(zone: "Zone", words: Words) -> None:
    """Answer for this name with another response code (second word)."""
    zone.lies.rcodes[_name(zone, words[0])] = words[1]


def _synthesise(zone: "Zone", words: Words) -> None:
    """Make the CNAME of this name from a DNAME point elsewhere (second word), or leave it out (`nothing`)."""
    zone.lies.synthesis[_name(zone, words[0])] = None if words[1] == "nothing" else _name(zone, words[1])


def _expand(zone: "Zone", words: Words) -> None:
    """Answer for this name by expanding that wildcard (second word), whatever else exists."""
    zone.lies.expansions[_name(zone, words[0])] = _name(zone, words[1])


def _claim(zone: "Zone", words: Words) -> None:
    """Answer for what lies below this delegation or DNAME from here, as if it were a plain name."""
    zone.lies.claims.add(_name(zone, words[0]))


def _compact_owner(zone: "Zone", words: Words) -> None:
    """Deny the first name with the compact NSEC of the second."""
    zone.lies.compact_owners[_name(zone, words[0])] = _name(zone, words[1])


def _own_ds(zone: "Zone", words: Words) -> None:  # noqa: ARG001 every fault has one shape
    """Answer questions for the DS of this zone's own apex from this, the child's side."""
    zone.lies.own_ds = True


FAULTS: Final[Mapping[str, Callable[["Zone", Words], None]]] = MappingProxyType(
    {
        "expired": _window(before=2 * DAY, after=-DAY),
        "future": _window(before=-DAY, after=2 * DAY),
        "backwards": _window(before=-DAY, after=-2 * DAY),
        "endless": _window(before=DAY, after=100 * 365 * DAY),
        "unsigned": _unsigned,
        "stripped": _stripped,
        "flip": _flip,
        "tag": _field("key_tag"),
        "algorithm": _field("algorithm"),
        "original-ttl": _field("original_ttl"),
        "labels": _field("labels"),
        "relabel": _relabel,
        "signer": _signer,
        "adopt": _adopt,
        "only": _only,
        "beside": _beside,
        "borrow": _borrow,
        "recover": _recover,
        "empty": _empty,
        "repeat": _repeat,
        "alter": _alter,
        "append": _append,
        "ttl": _ttl,
        "types": _types,
        "hide": _hide,
        "swap": _swap,
        "deny-type": _deny_type,
        "deny-name": _deny_name,
        "silence": _silence,
        "rcode": _rcode,
        "synthesise": _synthesise,
        "expand": _expand,
        "claim": _claim,
        "compact-owner": _compact_owner,
        "own-ds": _own_ds,
    }
)


def _name(zone: "Zone", text: str) -> dns.name.Name:
    return dns.name.from_text(text, zone.origin)


def _key(zone: "Zone", words: Words) -> Key:
    """Owner and type of an RRset; for the types NSEC and NSEC3, of the proof that speaks of the owner."""
    name, rdtype = _name(zone, words[0]), dns.rdatatype.from_text(words[1])
    if rdtype in {dns.rdatatype.NSEC, dns.rdatatype.NSEC3}:
        name = zone.chain.speaking_of(name)
    if (name, rdtype) not in zone.rrsets:
        raise KeyError(f"{name} {dns.rdatatype.to_text(rdtype)}")
    return name, rdtype


def _record(zone: "Zone", key: Key, words: Words) -> dns.rdata.Rdata:
    text = " ".join(words)
    return dns.rdata.from_text(dns.rdataclass.IN, key[1], text, origin=zone.origin, relativize=False)


def _change_signatures(zone: "Zone", words: Words, change: Callable[[RRSIG], dict[str, object]]) -> None:
    key = _key(zone, words)
    zone.signatures[key] = [cast("RRSIG", old.replace(**change(old))) for old in zone.signatures[key]]
