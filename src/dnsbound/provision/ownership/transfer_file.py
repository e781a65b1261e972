"""An identity on its way to another inventory: a small JSON file of public data.

It holds what anybody could read in the DNS, the certificate, and what was done when, without who did it. It is not
signed and proves nothing: that the device holds the key is proved to the receiving side by a CSR, or by enrolling.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from dnsbound.errors import Malformed
from dnsbound.names import ClientName
from dnsbound.provision.public_key import admit_certificate, admit_public_key
from dnsbound.records.tlsa import TLSA
from dnsbound.times import Moment, iso, moment_of_text

FORM: Final = 1
MAX_OCTETS: Final = 262_144
"""A certificate, and the history of an identity, are far below."""
MAX_HISTORY: Final = 256
"""The latest events that go along."""
_KEYS: Final = frozenset(
    {"dnsbound_transfer", "name", "spki", "certificate", "records", "exported_at", "valid_until", "history"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferFile:
    """One identity. Times are whole seconds in the file."""

    name: ClientName
    """What it is called where it comes from."""
    spki: bytes
    """DER SubjectPublicKeyInfo."""
    certificate: bytes | None
    """DER of the leaf."""
    records: tuple[TLSA, ...]
    """Those of usage 3: they hold under any name."""
    exported_at: Moment
    valid_until: Moment | None
    """When the former name is to be revoked; None where that was not said."""
    history: tuple[tuple[Moment, str], ...]
    """When what was done, oldest first."""

    def to_text(self) -> str:
        certificate = None if self.certificate is None else base64.b64encode(self.certificate).decode()
        table = {
            "dnsbound_transfer": FORM,
            "name": self.name.canonical,
            "spki": base64.b64encode(self.spki).decode(),
            "certificate": certificate,
            "records": [record.to_text() for record in self.records],
            "exported_at": iso(self.exported_at),
            "valid_until": None if self.valid_until is None else iso(self.valid_until),
            "history": [{"at": iso(at), "action": action} for at, action in self.history],
        }
        return json.dumps(table, indent=2) + "\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one; Malformed with what is wrong, PrivateKeyRefused where a private key is in the place of a public."""
        if len(text) > MAX_OCTETS:
            raise Malformed(f"a transfer has {MAX_OCTETS} octets at most")
        try:
            table = json.loads(text)
        except (ValueError, RecursionError):
            raise Malformed("the transfer is not JSON") from None
        if not isinstance(table, dict) or table.get("dnsbound_transfer") != FORM:
            raise Malformed(f"this is no transfer of form {FORM}")
        unknown = set(table) ^ _KEYS
        if unknown:
            raise Malformed(f"the transfer has too much or too little: {min(unknown)}")
        spki = admit_public_key(_octets(table, "spki"))
        certificate = None if table["certificate"] is None else admit_certificate(_octets(table, "certificate"), spki)
        return cls(
            name=ClientName.parse(_text(table, "name")),
            spki=spki,
            certificate=certificate,
            records=tuple(_records(table["records"])),
            exported_at=moment_of_text(_text(table, "exported_at")),
            valid_until=None if table["valid_until"] is None else moment_of_text(_text(table, "valid_until")),
            history=tuple(_history(table["history"])),
        )


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str):
        raise Malformed(f"the transfer's {key} is not a text")
    return value


def _octets(table: Mapping[str, Any], key: str) -> bytes:
    try:
        return base64.b64decode(_text(table, key), validate=True)
    except (binascii.Error, ValueError):
        raise Malformed(f"the transfer's {key} is not base64") from None


def _records(value: object) -> list[TLSA]:
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise Malformed("the transfer's records are not a list of texts")
    return [TLSA.from_text(entry) for entry in value]


def _history(value: object) -> list[tuple[Moment, str]]:
    if not isinstance(value, list) or len(value) > MAX_HISTORY:
        raise Malformed(f"the transfer's history is not a list of {MAX_HISTORY} entries at most")
    found = []
    for entry in value:
        if not isinstance(entry, dict) or set(entry) != {"at", "action"}:
            raise Malformed("an entry of the transfer's history is not a time and an action")
        action = _text(entry, "action")
        if not action.isascii() or not action.replace("-", "").isalpha():
            raise Malformed("an action of the transfer's history is no word")
        found.append((moment_of_text(_text(entry, "at")), action))
    return found
