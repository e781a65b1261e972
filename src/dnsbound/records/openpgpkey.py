"""The OPENPGPKEY record: an OpenPGP transferable public key of a mailbox, and where it stands (RFC 7929).

Octets only: nothing here reads OpenPGP packets.
"""

import binascii
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Final, Self

from dnsbound.errors import Malformed
from dnsbound.names import MailboxName
from dnsbound.records.smimea import mailbox_owner

LABEL: Final = "_openpgpkey"
_MAX_RDATA: Final = 65_535


def owner_of(mailbox: MailboxName) -> str:
    """Owner name of the mailbox's OPENPGPKEY records, without a final dot (section 3)."""
    return mailbox_owner(mailbox, LABEL)


@dataclass(frozen=True, slots=True, order=True)
class OPENPGPKEY:
    """One OPENPGPKEY record."""

    key: bytes
    """A transferable public key in binary, without armour (section 2.1; RFC 9580 section 10.1)."""

    def __post_init__(self) -> None:
        if not 0 < len(self.key) <= _MAX_RDATA:
            raise Malformed("OPENPGPKEY record is empty, or too long for a record")

    @classmethod
    def from_wire(cls, rdata: bytes) -> Self:
        return cls(rdata)

    def to_wire(self) -> bytes:
        return self.key

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Presentation form (section 2.3): base64, spaces allowed."""
        try:
            return cls(b64decode("".join(text.split()), validate=True))
        except (binascii.Error, ValueError):
            raise Malformed("OPENPGPKEY record is not base64") from None

    def to_text(self) -> str:
        return b64encode(self.key).decode("ascii")

    def __str__(self) -> str:
        return self.to_text()
