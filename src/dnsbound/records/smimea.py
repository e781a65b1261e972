"""The SMIMEA record's owner name: where the domain of a mailbox publishes the mailbox's certificate (RFC 8162).

Its data are a TLSA record's, number for number (section 2), and are `dnsbound.records.tlsa.TLSA` here. The DNS shows a
digest of the local part, so that a zone does not spell its mailboxes; whoever guesses one can still ask for it.
"""

import re
from hashlib import sha256
from typing import Final

from dnsbound.names import MailboxName

LABEL: Final = "_smimecert"
_DIGEST_OCTETS: Final = 28
"""Section 3: the digest is cut off here."""
_OWNER: Final = re.compile(rf"[0-9a-f]{{{2 * _DIGEST_OCTETS}}}\.{LABEL}\..+")


def owner_of(mailbox: MailboxName) -> str:
    """Owner name of the mailbox's SMIMEA records, without a final dot (section 3)."""
    return mailbox_owner(mailbox, LABEL)


def is_owner(owner: str) -> bool:
    """Whether SMIMEA records of some mailbox could stand at `owner`, a canonical name without a final dot."""
    return _OWNER.fullmatch(owner) is not None


def mailbox_owner(mailbox: MailboxName, label: str) -> str:
    """The rule that SMIMEA and OPENPGPKEY share (RFC 7929 section 3): the local part's octets as they are, no case
    folded, digested by SHA-256 and cut to 28 octets."""
    digest = sha256(mailbox.local.encode()).hexdigest()[: 2 * _DIGEST_OCTETS]
    return f"{digest}.{label}.{mailbox.domain.canonical}"
