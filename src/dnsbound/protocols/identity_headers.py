"""The header fields that tell a back end who the client is, and every field name a back end could take for one of them.

Whoever puts these fields on a request (the gate, a front end that asked the verify service) first removes what
`is_identity_header` knows: a back end behind a CGI-like interface sees `Dnsbound_Name` and `dnsbound-name` as the same
variable, some turn other marks into an underscore too, and many are configured to believe the certificate fields of
other front ends. Values are one line of visible ASCII. Nothing here decides who a client is.

Sections: RFC 9440 sections 2.1 to 2.4 and 4; RFC 9110 sections 5.1 and 5.5.
"""

import datetime as dt
import json
import math
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final

from dnsbound.door_limits import IDENTITY_GRANTS_OCTETS
from dnsbound.errors import LimitExceeded, Misuse
from dnsbound.names import ClientName
from dnsbound.times import Moment, iso

NAME: Final = "Dnsbound-Name"
"""The verified DNS name, in lower case."""
DOOR: Final = "Dnsbound-Door"
GRANTS: Final = "Dnsbound-Grants"
"""What the access list grants the name at the door: a JSON object, ASCII, on one line."""
VALID_UNTIL: Final = "Dnsbound-Valid-Until"
"""RFC 3339: the evidence must not be used after it."""
REASON: Final = "Dnsbound-Reason"
"""Why not. In answers of the verify service alone, for the front end; never on a request."""
CLIENT_CERT: Final = "Client-Cert"
CLIENT_CERT_CHAIN: Final = "Client-Cert-Chain"

_OURS: Final = "dnsbound"
_RFC_9440: Final = frozenset({"client-cert", "client-cert-chain"})
_OTHER_FRONT_ENDS: Final = re.compile(r"(\S+-)?client-?cert(-\S+)?|x-client-verify|(x-)?ssl-(client-)?\S+")
"""Envoy's, Traefik's, those of load balancers of clouds, and what pages on nginx, HAProxy and Apache tell people to
believe."""
_MARK: Final = re.compile(rb"[^A-Za-z0-9]")
_VISIBLE: Final = re.compile(r"[\x21-\x7e]+")


def is_identity_header(name: bytes) -> bool:
    """Whether a back end could take a field of this name for one that says who the client is.

    name: as it came, in any case. Each octet that is neither letter nor digit counts as a hyphen, as it does for a back
    end that makes a variable of the name. Every name that begins with `Dnsbound` is ours.
    """
    told = spelling(name)
    return told.startswith(_OURS) or told in _RFC_9440 or _OTHER_FRONT_ENDS.fullmatch(told) is not None


def spelling(name: bytes) -> str:
    """A field name as the least careful back end reads it: lower case, and each mark a hyphen."""
    return _MARK.sub(b"-", name).decode("ascii").lower().strip("-")


def identity_headers(
    *,
    name: ClientName,
    door: str,
    grants: Mapping[str, Any],
    valid_until: Moment,
    certificate: bytes | None = None,
    chain: Sequence[bytes] = (),
) -> list[tuple[bytes, bytes]]:
    """The fields of a verified client, in a fixed order.

    certificate and chain: DER; `Client-Cert` is left out for a client with a raw public key. Misuse for a door that
    cannot stand in a field, LimitExceeded for grants that are too long for one.
    """
    if _VISIBLE.fullmatch(door) is None:
        raise Misuse(f"door {door!r} cannot be told in a header: it is not visible ASCII")
    fields = [
        (NAME, name.canonical),
        (DOOR, door),
        (GRANTS, grants_text(grants)),
        (VALID_UNTIL, iso(valid_until)),
    ]
    if certificate is not None:
        fields.append((CLIENT_CERT, byte_sequence(certificate)))
        if chain:
            fields.append((CLIENT_CERT_CHAIN, ", ".join(byte_sequence(each) for each in chain)))
    return [(field.encode("ascii"), value.encode("ascii")) for field, value in fields]


def byte_sequence(der: bytes) -> str:
    """RFC 9440 section 2.1: octets as a structured field's byte sequence."""
    return f":{b64encode(der).decode('ascii')}:"


def grants_text(grants: Mapping[str, Any]) -> str:
    """Grants as one line of ASCII JSON, keys in order, so that equal grants are equal texts; LimitExceeded."""
    text = json.dumps(_plain(grants), separators=(",", ":"), sort_keys=True, ensure_ascii=True, allow_nan=False)
    text = text.replace("\x7f", "\\u007f")  # the one control character that JSON leaves as it is
    if len(text) > IDENTITY_GRANTS_OCTETS.default:
        raise LimitExceeded(IDENTITY_GRANTS_OCTETS.name, f"the grants of a client are {len(text)} octets of JSON")
    return text


def _plain(value: object) -> object:
    """TOML's values as JSON's: dates and times, and numbers that are none, become texts."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
