"""Names of those who are recognised: the full TLSA owner name of a client, as it is claimed on the wire and written on
access lists, and the mailbox of a person.

A client name is plain ASCII text: labels of letters, digits, hyphen and underscore, at least two of them, no trailing
dot, no escapes, no wildcard label (draft-ietf-dance-client-auth sections 2 and 7; internationalised names travel as
A-labels). Names compare without regard to case. A mailbox is `local@domain` (RFC 5321 section 4.1.2): its domain
compares without regard to case, its local part octet for octet.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Self

from dnsbound.errors import Malformed

MAX_NAME_OCTETS: Final = 253
"""RFC 1035 section 2.3.4: 255 octets of wire form are 253 characters of text."""
MAX_LABEL_OCTETS: Final = 63
USERS_LABEL: Final = "_user"
"""The label that keeps a domain's users apart from its devices (ARCH, terms)."""
MAX_LOCAL_OCTETS: Final = 64
"""RFC 5321 section 4.5.3.1.1."""
MAX_MAILBOX_DOMAIN: Final = MAX_NAME_OCTETS - 56 - len("._openpgpkey.")
"""Records of a mailbox stand below a digest of 56 characters and a label (RFC 7929 section 3)."""

_LABEL: Final = re.compile(r"[A-Za-z0-9_-]{1,63}")
_NAME: Final = re.compile(r"(?:[A-Za-z0-9_-]{1,63}\.)+[A-Za-z0-9_-]{1,63}")
_DOT_ATOM: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")


@dataclass(frozen=True, slots=True)
class ClientName:
    """A valid client name. `text` is as received and is what is asked of the DNS; equality ignores case."""

    text: str = field(compare=False)
    canonical: str
    """Lower case: for access lists, logs and cache keys."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a name; raises Malformed with the first thing wrong. An absolute name's final dot is not accepted."""
        if len(text) > MAX_NAME_OCTETS or not _NAME.fullmatch(text):
            raise _first_fault(text)
        return cls(text, text.lower())

    @classmethod
    def from_wire(cls, octets: bytes) -> Self:
        """Read the octets of a ClientName (draft-ietf-dance-client-auth section 7), without their length."""
        try:
            text = octets.decode("ascii")
        except UnicodeDecodeError as error:
            raise Malformed(
                "client name is not ASCII; internationalised names travel as A-labels", error.start
            ) from None
        return cls.parse(text)

    def to_wire(self) -> bytes:
        return self.text.encode("ascii")

    @property
    def labels(self) -> tuple[str, ...]:
        """Canonical labels, leftmost first."""
        return tuple(self.canonical.split("."))

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class MailboxName(ClientName):
    """A mailbox as an identity: whoever answers for its domain says whose key it is, in records of its own elsewhere.

    The local part is a dot-atom of ASCII (RFC 5322 section 3.2.3); quoted ones and those of RFC 6531 are not read. Two
    spellings of it are two mailboxes, as its records are (RFC 8162 section 3).
    """

    local: str = field(compare=False)
    domain: ClientName = field(compare=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `local@domain`; raises Malformed with the first thing wrong."""
        local, sign, domain = text.rpartition("@")
        if not sign:
            raise Malformed("mailbox has no @")
        if len(local) > MAX_LOCAL_OCTETS:
            raise Malformed(f"the local part of a mailbox is longer than {MAX_LOCAL_OCTETS} octets")
        if not _DOT_ATOM.fullmatch(local):
            raise Malformed("the local part of a mailbox is no dot-atom of ASCII", 0)
        name = ClientName.parse(domain)
        if len(domain) > MAX_MAILBOX_DOMAIN:
            raise Malformed(f"the domain of a mailbox is longer than {MAX_MAILBOX_DOMAIN} octets: no record fits")
        return cls(text, f"{local}@{name.canonical}", local, name)

    @property
    def labels(self) -> tuple[str, ...]:
        """The local part with its @, then the domain's labels."""
        return (f"{self.local}@", *self.domain.labels)


def name_or_mailbox(text: str) -> ClientName:
    """A name as people write it: a mailbox where there is an @. Malformed with the first thing wrong."""
    return MailboxName.parse(text) if "@" in text else ClientName.parse(text)


def mailboxes_among(texts: Iterable[str]) -> tuple[MailboxName, ...]:
    """The mailboxes among texts of a certificate, in order; what is no mailbox that can be an identity is left out."""
    found: list[MailboxName] = []
    for text in texts:
        with suppress(Malformed):
            found.append(MailboxName.parse(text))
    return tuple(found)


def _first_fault(text: str) -> Malformed:
    """What is wrong with a text that is no name."""
    if not text:
        return Malformed("client name is empty")
    if len(text) > MAX_NAME_OCTETS:
        return Malformed(f"client name is longer than {MAX_NAME_OCTETS} octets")
    labels = text.split(".")
    if labels[-1] == "":
        return Malformed("client name ends in a dot", len(text) - 1)
    offset = 0
    for label in labels:
        if not _LABEL.fullmatch(label):
            return Malformed(_what_is_wrong(label), offset)
        offset += len(label) + 1
    return Malformed("client name has a single label")


def _what_is_wrong(label: str) -> str:
    if not label:
        return "client name has an empty label"
    if label == "*":
        return "client name has a wildcard label: it names nobody"
    if "\\" in label:
        return "client name has an escape; only letters, digits, hyphen and underscore are used"
    if len(label) > MAX_LABEL_OCTETS:
        return f"client name has a label longer than {MAX_LABEL_OCTETS} octets"
    return f"client name has a character outside letters, digits, hyphen and underscore in label {label!r}"
