"""Keys of test zones: every algorithm in use, colliding tags, revoked keys, numbers nobody implements.

A key is written as text, `role algorithm words...`, and reads like the sentence one would say about it: `csk 13`,
`ksk 8`, `zsk 15 idle`, `csk 13 twin=2`, `csk 13 as=253`. Private keys follow from their label, so that a zone is the
same in every run: these are keys for tests, never for a zone anybody relies on.

Sections: RFC 4034 section 2 (DNSKEY) and appendix B (key tags), RFC 5011 section 2.1 (revocation).
"""

import functools
import hashlib
from dataclasses import dataclass, field
from typing import Final, Self, cast

import dns.dnssec
import dns.dnssecalgs
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from dns.dnssectypes import Algorithm
from dns.rdtypes.ANY.DNSKEY import DNSKEY

from dnsbound.errors import Misuse

ZONE: Final = 0x0100
REVOKE: Final = 0x0080
SEP: Final = 0x0001

TWINS: Final = (18109, 19599, 21960, 34158, 49516, 73602, 80541, 92728, 96506, 105132)
"""P-256 private scalars whose DNSKEYs all have tag 52046 with flags 257 and 52045 with flags 256; found by search."""

_FLAGS_OF_ROLE: Final = {"ksk": ZONE | SEP, "zsk": ZONE, "csk": ZONE | SEP}

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPlan:
    """What one key of a zone is and does.

    Words after role and algorithm: `idle` (published, signs nothing), `hidden` (signs, is not published), `revoked`,
    `flags=N`, `protocol=N`, `twin=N` (member N of the family of P-256 keys with one tag), `as=N` (the algorithm number
    that DNSKEY and RRSIG state instead of the true one), `bits=N` (RSA), `label=TEXT` (another private key).
    """

    role: str
    algorithm: int
    stated_algorithm: int
    flags: int
    protocol: int = 3
    idle: bool = False
    hidden: bool = False
    twin: int | None = None
    bits: int = 2048
    label: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form; raises Misuse."""
        role, _, rest = text.partition(" ")
        number, *words = rest.split()
        if role not in _FLAGS_OF_ROLE or not number.isdecimal():
            raise Misuse(f"a key is `role algorithm words...` with a role of {', '.join(_FLAGS_OF_ROLE)}, not {text!r}")
        values = dict(word.split("=", 1) for word in words if "=" in word)
        bare = {word for word in words if "=" not in word}
        unknown = (bare - {"idle", "hidden", "revoked"}) | (
            set(values) - {"flags", "protocol", "twin", "as", "bits", "label"}
        )
        if unknown:
            raise Misuse(f"unknown words for a key: {', '.join(sorted(unknown))}")
        flags = int(values.get("flags", _FLAGS_OF_ROLE[role]))
        return cls(
            role=role,
            algorithm=int(number),
            stated_algorithm=int(values.get("as", number)),
            flags=flags | REVOKE if "revoked" in bare else flags,
            protocol=int(values.get("protocol", "3")),
            idle="idle" in bare,
            hidden="hidden" in bare,
            twin=int(values["twin"]) if "twin" in values else None,
            bits=int(values.get("bits", "2048")),
            label=values.get("label", ""),
        )

    @property
    def signs_keys(self) -> bool:
        """Whether it signs the zone's DNSKEY RRset."""
        return self.role in {"ksk", "csk"} and not self.idle

    @property
    def signs_records(self) -> bool:
        """Whether it signs everything else."""
        return self.role in {"zsk", "csk"} and not self.idle


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneKey:
    """A plan with its key pair."""

    plan: KeyPlan
    dnskey: DNSKEY
    tag: int
    private: PrivateKey = field(repr=False)

    def sign(self, data: bytes) -> bytes:
        """The octets of an RRSIG's Signature field over `data`."""
        return dns.dnssecalgs.get_algorithm_cls(self.plan.algorithm)(key=self.private).sign(data)


def make_key(plan: KeyPlan, zone_text: str) -> ZoneKey:
    """The key of that plan for the zone: the same in every run, RSA excepted."""
    private = _private_key(plan, zone_text)
    true = dns.dnssec.make_dnskey(private.public_key(), plan.algorithm, plan.flags, plan.protocol)
    dnskey = cast("DNSKEY", true.replace(algorithm=plan.stated_algorithm))
    return ZoneKey(plan=plan, dnskey=dnskey, tag=dns.dnssec.key_id(dnskey), private=private)


def _private_key(plan: KeyPlan, zone_text: str) -> PrivateKey:
    if plan.twin is not None:
        return ec.derive_private_key(TWINS[plan.twin], ec.SECP256R1())
    seed = hashlib.shake_256(f"{zone_text} {plan.role} {plan.label}".encode()).digest(57)
    match plan.algorithm:
        case Algorithm.RSASHA1 | Algorithm.RSASHA1NSEC3SHA1 | Algorithm.RSASHA256 | Algorithm.RSASHA512:
            return _rsa_key(plan.bits, plan.role, plan.label)
        case Algorithm.ECDSAP256SHA256:
            return ec.derive_private_key(int.from_bytes(seed[:31]) + 1, ec.SECP256R1())
        case Algorithm.ECDSAP384SHA384:
            return ec.derive_private_key(int.from_bytes(seed[:47]) + 1, ec.SECP384R1())
        case Algorithm.ED25519:
            return ed25519.Ed25519PrivateKey.from_private_bytes(seed[:32])
        case Algorithm.ED448:
            return ed448.Ed448PrivateKey.from_private_bytes(seed)
        case number:
            raise Misuse(f"no key of algorithm {number} can be made; make another and say `as={number}`")


@functools.cache
def _rsa_key(bits: int, role: str, label: str) -> rsa.RSAPrivateKey:
    """RSA keys cannot be derived from a seed and are slow to make: zones share the one of a role and label."""
    del role, label  # parts of the cache's key
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)
