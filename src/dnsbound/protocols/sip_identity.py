"""SIP identities: which URI a client is, and whether a field names it.

A client is its verified name as a user of the gate's SIP domain, `sip:car54._device.cars.example@isp.example`, or the
URIs its grant `sip` lists. Addresses are read as narrowly as honest clients write them: what could be read in two ways
names nobody. Sections: RFC 3261 sections 19.1 and 20.20; RFC 3325 sections 4 and 9.1.
"""

import re
from typing import Final

from dnsbound.errors import Malformed, Misuse
from dnsbound.protocols.gated import GateIdentity
from dnsbound.protocols.sasl_external import granted_texts

SIP_GRANT: Final = "sip"
"""The grant that lists a client's URIs, the one to assert first: a text or a list of them."""

_QUOTED: Final = rb'"(?:[^"\\]|\\.)*"'
_PARAMETERS: Final = rb'(?:[ \t]*;[^<>,"]*)?'
_NAME_ADDR: Final = re.compile(
    rb"(?:" + _QUOTED + rb"|[A-Za-z0-9.!%*_+`'~ \t-]*)[ \t]*<([\x21\x23-\x3b\x3d\x3f-\x7e]+)>" + _PARAMETERS
)
_ADDR_SPEC: Final = re.compile(rb'([^<>;"?, \t]+)' + _PARAMETERS)
_SIP_URI: Final = re.compile(
    r"sips?:(?P<user>[A-Za-z0-9_.!~*'()&=+$,/-]+)@(?P<host>[A-Za-z0-9._-]+)(?::[0-9]{1,5})?(?:;[^\s<>\"?@]*)?",
    re.IGNORECASE,
)
_TEL_URI: Final = re.compile(r"tel:\+[0-9]{1,15}", re.IGNORECASE)


def address(value: bytes) -> str:
    """The URI of a From or To field; Malformed for what cannot be read in one way alone."""
    found = _NAME_ADDR.fullmatch(value) or _ADDR_SPEC.fullmatch(value)
    if found is None or not found[1].isascii():
        raise Malformed("a SIP address that cannot be read in one way alone")
    return found[1].decode("ascii")


def identity_of(uri: str) -> str | None:
    """What of a URI says who somebody is: user and host, without scheme, port and parameters; None for other URIs."""
    if _TEL_URI.fullmatch(uri):
        return uri.lower()
    found = _SIP_URI.fullmatch(uri) if uri.isascii() else None
    return None if found is None else f"{found['user']}@{found['host'].lower()}"


class SipIdentity:
    """Who a client is in SIP. domain: the SIP domain of the gate."""

    __slots__ = ("_identities", "asserted")

    def __init__(self, client: GateIdentity, domain: str) -> None:
        granted = granted_texts(client.grants, SIP_GRANT)
        uris = granted or (f"sip:{client.name.canonical}@{domain}",)
        identities = [identity_of(uri) for uri in uris]
        if None in identities:
            raise Misuse(f"a grant {SIP_GRANT} of {client.name} is neither a sip: nor a tel: URI that can be asserted")
        self._identities = frozenset(identities)
        self.asserted: Final = uris[0].encode("ascii")
        """The URI that is asserted to the back end (RFC 3325 section 9.1)."""

    def named_by(self, value: bytes) -> bool:
        """Whether the address in a field is the client's."""
        return identity_of(address(value)) in self._identities
