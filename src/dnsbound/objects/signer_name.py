"""How a signed object names its signer: as a plain client name, and as a `dns:` URI of its TLSA records (RFC 4501).

    dns:car54._device.cars.example?type=TLSA

Written is this form alone. Read are also an empty authority (`dns:///NAME?...`) and the form that earlier tools for
DANE put out, with the name where RFC 4501 section 3 has the server (`dns://NAME?type=TLSA`). A URI that names a server
is refused: whoever looks the name up asks resolvers of its own choice.
"""

import re
from functools import lru_cache
from typing import Final

from dnsbound.errors import Malformed
from dnsbound.names import MAX_NAME_OCTETS, ClientName

_SCHEME: Final = "dns:"
_LONGEST: Final = len("dns:///") + MAX_NAME_OCTETS + len("?class=IN;type=TLSA")
_TYPES: Final = frozenset({"tlsa", "52"})
_CLASSES: Final = frozenset({"in", "1"})
_NUMBER: Final = re.compile(r"[0-9]+")


@lru_cache(maxsize=4096)
def signer_name(text: str) -> ClientName:
    """The name a signer is named by, in lower case; Malformed otherwise. An IPv4 address looks like a name and is
    none."""
    name = ClientName.parse(text.lower())
    if _NUMBER.fullmatch(name.labels[-1]):
        raise Malformed("the last label of the signer's name is a number: that is an address, or nobody")
    return name


def signer_uri(name: ClientName) -> str:
    """The one way it is written."""
    return f"{_SCHEME}{name.canonical}?type=TLSA"


def name_of_uri(text: str) -> ClientName:
    """The name whose TLSA records a URI means; Malformed when it means anything else."""
    if len(text) > _LONGEST or not text.isascii():
        raise Malformed("dns: URI is too long, or not ASCII")
    if not text.lower().startswith(_SCHEME):
        raise Malformed(f"{text[:20]!r} is no dns: URI")
    path, mark, query = text[len(_SCHEME) :].partition("?")
    if not mark:
        raise Malformed("dns: URI has no type: it would mean an address")
    _expect_tlsa(query)
    return signer_name(_name_part(path))


def _name_part(path: str) -> str:
    if not path.startswith("//"):
        return path
    authority, slash, name = path[2:].partition("/")
    if authority and slash:
        raise Malformed("dns: URI names a server, and none is asked on a stranger's word")
    return name if slash else authority


def _expect_tlsa(query: str) -> None:
    found: dict[str, str] = {}
    for element in query.split(";"):
        keyword, _, value = element.lower().partition("=")
        if keyword in found:
            raise Malformed(f"dns: URI says its {keyword[:20]} twice")
        found[keyword] = value
    if found.keys() - {"type", "class"}:
        raise Malformed("dns: URI has a query other than type and class")
    if found.get("type") not in _TYPES or found.get("class", "in") not in _CLASSES:
        raise Malformed("dns: URI is of another type or class than TLSA IN")
