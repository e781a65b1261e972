"""What FreeRADIUS 3.2 tells `rlm_rest` about a client whose certificate it has verified by a store of its own.

Attributes come as JSON, `{"User-Name": {"type": "string", "value": ["..."]}, ...}`; of the certificate there are its
serial number and the last of its dNSNames, no key and no digest. So a question says which of the certificates that were
put into the store was shown, and that one is judged anew: the store itself never forgets one. Where the certificate
itself can be handed over, `verify { client = ... }` with the HTTP face is the better way.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

from dnsbound.errors import Malformed
from dnsbound.names import ClientName
from dnsbound.protocols.json_object import JsonMembers

_SERIAL: Final = re.compile(r"[0-9A-Fa-f]{2,40}")
"""RFC 5280 section 4.1.2.2: at most 20 octets."""
_WHAT: Final = "RADIUS attributes"


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeRadiusAsked:
    """Who was authenticated. serial: of the certificate."""

    name: ClientName
    serial: int
    source: str

    @classmethod
    def from_wire(cls, octets: bytes) -> Self:
        """Malformed, also where the identity is not the certificate's name; LimitExceeded."""
        members = JsonMembers.from_wire(octets, _WHAT)
        name = ClientName.parse(_one(members, "TLS-Client-Cert-Subject-Alt-Name-Dns"))
        identity = _one(members, "User-Name")
        if identity.lower() != name.canonical:
            raise Malformed(f"{_WHAT}: User-Name is not the name in the certificate")
        serial = _one(members, "TLS-Client-Cert-Serial")
        if not _SERIAL.fullmatch(serial):
            raise Malformed(f"{_WHAT}: no serial number in hexadecimal")
        source = _one(members, "Calling-Station-Id") if "Calling-Station-Id" in members else ""
        return cls(name=name, serial=int(serial, 16), source=source)


def _one(members: JsonMembers, attribute: str) -> str:
    values = members.below(attribute).texts("value")
    if len(values) != 1:
        raise Malformed(f"{_WHAT}: {attribute} has {len(values)} values, not one")
    return values[0]
