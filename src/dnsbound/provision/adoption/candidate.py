"""What a reader makes of one row of a source: a client that could be adopted, or why it is none."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class Problem(StrEnum):
    """Why a row is not adopted. The value is what `--json` and the file of rejects show."""

    # The row by itself.
    UNREADABLE = "unreadable"
    """Not what its place says it is: does not parse, cut short, more than one thing in one cell."""
    UNKNOWN_FORMAT = "unknown-format"
    """A file of none of the formats that are read."""
    COMPRESSED = "compressed"
    """A packed file or a spreadsheet: to be unpacked, or exported as text, first."""
    ENCODING = "encoding"
    """Text that is not UTF-8."""
    TOO_LARGE = "too-large"
    """Longer than a row may be, or more of them than a limit allows."""
    NOT_A_FILE = "not-a-file"
    """A device, a socket, or a link that leads out of the directory that was named."""
    NO_KEY = "no-key"
    """A row without a key, or with two that differ."""
    PRIVATE_KEY = "private-key"
    """A private or secret key. It was neither kept nor shown."""
    WEAK_KEY = "weak-key"
    """A key too weak to stand for anybody."""
    CANNOT_SIGN = "cannot-sign"
    """A key that its certificate or its TPM does not let sign, so that no TLS login is possible with it."""
    AUTHORITY = "authority"
    """The certificate of an authority, which is no client."""
    BAD_SIGNATURE = "bad-signature"
    """A request that its own key did not sign, or an entry that the manifest's signer did not."""
    NO_NAME = "no-name"
    """Nothing of it is a name by the rules that were given, or several are."""
    BAD_NAME = "bad-name"
    """A name that no client can have, or outside of where names were wanted."""
    BAD_FIELD = "bad-field"
    """A TTL, owner or tag that cannot be."""

    # The row beside the others.
    DUPLICATE_NAME = "duplicate-name"
    """Two keys under one name."""
    DUPLICATE_KEY = "duplicate-key"
    """One key under two names: a copied device, or a list with a fault."""
    DUPLICATE_SERIAL = "duplicate-serial"
    """One serial number under two names."""

    # The row beside the inventory.
    OTHER_KEY = "other-key"
    """The name is registered with another key."""
    OTHER_RECORDS = "other-records"
    """The name is registered with this key, but published in another form or with another TTL."""
    REVOKED = "revoked"
    """The name was revoked with this key, or gave the key up for another one."""
    ROLLING = "rolling"
    """The name's key is being changed."""
    TAKEN = "taken"
    """Records that are no identity's stand at the name: an alias, a lease, a block, a hand-made record."""
    NOT_SERVED = "not-served"
    """The name lies where the zone here cannot publish it: below a delegation, or at the wrong place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a row shows that could name the client; each None or empty where it shows none."""

    name: str | None = None
    """Of the column or member that says so."""
    san: tuple[str, ...] = ()
    """dNSNames of the certificate or request."""
    common_name: str | None = None
    serial: str | None = None
    """A serial number of the device: of a column, or of the subject (serialNumber, IEEE 802.1AR section 8.6)."""
    comment: str | None = None
    """What follows the key in an OpenSSH line."""
    file_name: str | None = None
    """Without directory and extension."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A client as a source shows it, with a key that is one."""

    where: str
    """`file:line`, or the file's path."""
    spki: bytes
    """DER SubjectPublicKeyInfo."""
    certificate: bytes | None = None
    """DER."""
    shown: Shown
    owner: str | None = None
    tags: frozenset[str] = frozenset()
    ttl: int | None = None
    unchecked: bool = False
    """Whether it bears a signature that nobody checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A row that is not adopted, and why. detail: one line for people; never octets of a key."""

    where: str
    problem: Problem
    detail: str
    name: str = ""
    """Of the client, where the row came so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedOver:
    """Something that is no client and stands there rightly, such as the issuer that follows a client's certificate."""

    where: str
    what: str


Row: TypeAlias = Candidate | BadRow | PassedOver


class RowFault(Exception):
    """A fault of one row on its way to a `BadRow`, which knows where it was."""

    def __init__(self, problem: Problem, detail: str) -> None:
        super().__init__(detail)
        self.problem = problem
        self.detail = detail
