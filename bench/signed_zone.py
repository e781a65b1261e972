"""A zone of so many names as a file that was signed beforehand, with NSEC.

The signatures have the length and form of ECDSA P-256 and are random octets: a server that was handed a signed zone
looks at none of them, and two million real ones would be most of the benchmark.
"""

import base64
import os
from collections.abc import Iterator
from pathlib import Path

ZONE = "cars.example"
_TTL = 300
_SIGNED_UNTIL = "20991231000000"
_SIGNED_SINCE = "20250101000000"
_KEY_TAG = 12345
_ALGORITHM = 13
_SIGNATURE_OCTETS = 64


def label(number: int) -> str:
    """Of one name, relative to the zone."""
    return f"car{number}._device"


def data(number: int) -> str:
    return f"3 1 1 {number + 1:064x}"


def write_signed(place: Path, names: int) -> Path:
    """ZONE.signed in the directory."""
    path = place / f"{ZONE}.signed"
    with path.open("w", encoding="ascii") as file:
        file.write(f"$ORIGIN {ZONE}.\n$TTL {_TTL}\n")
        file.writelines(_apex(names))
        owners = sorted(range(names), key=label)
        for number, following in zip(owners, [*map(label, owners[1:]), "ns"], strict=True):
            name = label(number)
            file.writelines(_signed(name, "TLSA", data(number)))
            file.writelines(_signed(name, "NSEC", f"{following} TLSA RRSIG NSEC"))
        file.writelines(_signed("ns", "A", "127.0.0.1"))
        file.writelines(_signed("ns", "NSEC", "@ A RRSIG NSEC"))
    return path


def _apex(names: int) -> Iterator[str]:
    public_key = base64.b64encode(os.urandom(_SIGNATURE_OCTETS)).decode()
    first = min(map(label, range(names)))
    yield from _signed("@", "SOA", "ns hostmaster 1 3600 600 86400 60")
    yield from _signed("@", "NS", "ns")
    yield from _signed("@", "DNSKEY", f"257 3 {_ALGORITHM} {public_key}")
    yield from _signed("@", "NSEC", f"{first} NS SOA RRSIG NSEC DNSKEY")


def _signed(owner: str, rdtype: str, rdata: str) -> Iterator[str]:
    labels = ZONE.count(".") + 1 + (0 if owner == "@" else owner.count(".") + 1)
    signature = base64.b64encode(os.urandom(_SIGNATURE_OCTETS)).decode()
    span = f"{_SIGNED_UNTIL} {_SIGNED_SINCE}"
    yield f"{owner} {rdtype} {rdata}\n"
    yield f"{owner} RRSIG {rdtype} {_ALGORITHM} {labels} {_TTL} {span} {_KEY_TAG} @ {signature}\n"
