"""An archived object: what was signed, the DNSSEC chain by which its signer's key was found good, and a receipt.

    {"dnsbound-archive": 1, "object": BASE64, "signer": NAME, "chain": BASE64,
     "receipt": TOKEN, "receiver": NAME, "receiver_chain": BASE64}

With it an object can be judged when its signer's records are long gone, by the trust anchor of then. A chain says what
the records were while its signatures held, not when the object was made: that time is the receipt's, and who believes
it believes the receiver that signed it. The receipt vouches for object, chain and time together.

A text of JSON with exactly these members, each once. `receipt`, `receiver` and `receiver_chain` are there together or
not at all. Reading one believes nothing; `dnsbound.edge.report_archive` judges.
"""

from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Any, Final, Self

from dnsbound.errors import LimitExceeded, Malformed, Misuse
from dnsbound.names import ClientName
from dnsbound.object_limits import ARCHIVE_OCTETS
from dnsbound.objects.jose.strict_json import read_object, write_object
from dnsbound.objects.report_claims import name_claim

VERSION: Final = 1
MARK: Final = "dnsbound-archive"
_MEMBERS: Final = frozenset({MARK, "object", "signer", "chain"})
_OF_A_RECEIPT: Final = frozenset({"receipt", "receiver", "receiver_chain"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """What the file holds. Nothing of it is believed."""

    object: bytes
    """As it was sent."""
    signer: ClientName
    chain: bytes
    """An AuthenticationChain (RFC 9102 section 2.3) of the signer's TLSA records."""
    receipt: bytes | None = None
    receiver: ClientName | None = None
    receiver_chain: bytes | None = None

    def __post_init__(self) -> None:
        parts = (self.receipt, self.receiver, self.receiver_chain)
        if any(part is None for part in parts) and any(part is not None for part in parts):
            raise Misuse("a receipt is archived with the name and the chain of its receiver")

    @classmethod
    def from_wire(cls, octets: bytes) -> Self:
        """Read the file; Malformed for anything else than one archive, LimitExceeded for one that is too long."""
        if len(octets) > ARCHIVE_OCTETS.default:
            raise LimitExceeded(ARCHIVE_OCTETS.name, f"an archive of {len(octets)} octets")
        members = read_object(octets, "archive")
        if members.get(MARK) != VERSION or isinstance(members[MARK], bool):
            raise Malformed(f'archive: it does not begin with "{MARK}": {VERSION}')
        if members.keys() not in (_MEMBERS, _MEMBERS | _OF_A_RECEIPT):
            raise Malformed("archive: a member is missing, or unknown")
        with_receipt = "receipt" in members
        return cls(
            object=_octets(members, "object"),
            signer=name_claim(members["signer"], "archive: signer"),
            chain=_octets(members, "chain"),
            receipt=_token(members["receipt"]) if with_receipt else None,
            receiver=name_claim(members["receiver"], "archive: receiver") if with_receipt else None,
            receiver_chain=_octets(members, "receiver_chain") if with_receipt else None,
        )

    def to_wire(self) -> bytes:
        """What `from_wire` reads, one line."""
        members: dict[str, Any] = {
            MARK: VERSION,
            "object": b64encode(self.object).decode("ascii"),
            "signer": self.signer.canonical,
            "chain": b64encode(self.chain).decode("ascii"),
        }
        if self.receipt is not None and self.receiver is not None and self.receiver_chain is not None:
            members |= {
                "receipt": self.receipt.decode("ascii"),
                "receiver": self.receiver.canonical,
                "receiver_chain": b64encode(self.receiver_chain).decode("ascii"),
            }
        return write_object(members) + b"\n"


def is_archive(octets: bytes) -> bool:
    """Whether this looks like an archive, from its beginning alone."""
    return octets[:64].lstrip().startswith(b'{"' + MARK.encode() + b'"')


def _octets(members: dict[str, Any], name: str) -> bytes:
    value = members[name]
    if isinstance(value, str) and value.isascii():
        try:
            octets = b64decode(value, validate=True)
        except ValueError:
            octets = b""
        if octets and b64encode(octets).decode("ascii") == value:
            return octets
    raise Malformed(f"archive: {name} is not octets in base64")


def _token(value: object) -> bytes:
    if not isinstance(value, str) or not value.isascii():
        raise Malformed("archive: receipt is not a token")
    return value.encode("ascii")
