"""One opened file of a source, as readers get it."""

from dataclasses import dataclass, field
from typing import Protocol

from cryptography.x509 import Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingRules:
    """What was said about how sources are to be read."""

    columns: dict[str, str] = field(default_factory=dict)
    """From what is wanted (`name`, `serial`, `public_key`, ...) to the column or member that holds it here."""
    manifest_signer: Certificate | None = None
    """Whose signature every entry of a secure-element manifest must bear; None: none is checked."""
    manifest_key: str = "0"
    """`kid` of the key of a secure element that is the client's."""
    row_octets: int | None = None
    """Limit `adopted-row-octets`."""


class Octets(Protocol):
    """What readers need of a file. Fewer octets than asked for are its end."""

    def read(self, size: int, /) -> bytes: ...

    def readline(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """label: the path as people know it. stem: the file's name without extension; None for standard input."""

    label: str
    stream: Octets
    stem: str | None
    rules: ReadingRules

    def at(self, line: int) -> str:
        return f"{self.label}:{line}"
