"""Class: by what the accounting of an access server is led back to the admission it belongs to.

    mark (17 octets: a worker and 128 random bits, `radius_routing`); seal (16 octets)

The seal is a MAC over the mark and the label of the RADIUS client that the Access-Accept went to. A report that ends a
session ends its supervision, so nobody must be able to make up a Class: neither an access server for a session at
another one, nor anybody by guessing. Access servers repeat Class as it is (RFC 2865 section 5.25).

Sections: RFC 2865 section 5.25, RFC 2866 section 5.
"""

import hmac
from hashlib import blake2b
from typing import Final

from dnsbound.errors import Misuse, PeerError
from dnsbound.protocols.radius_routing import KEY_OCTETS, MARK_OCTETS, SEAL_OCTETS

CLASS_OCTETS: Final = MARK_OCTETS + SEAL_OCTETS


class NotOurClass(PeerError):
    """A Class that this server did not give to this RADIUS client."""


class AccessClasses:
    """Of one server, whose workers all have the same key."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        """key: KEY_OCTETS octets that nobody else knows, the same after a restart."""
        if len(key) != KEY_OCTETS:
            raise Misuse(f"the key of a Class has {KEY_OCTETS} octets")
        self._key: Final = key

    def sealed(self, mark: bytes, client: str) -> bytes:
        """The value of Class for this client."""
        if len(mark) != MARK_OCTETS:
            raise Misuse(f"a mark has {MARK_OCTETS} octets")
        return mark + self._seal(mark, client)

    def checked(self, value: bytes, client: str) -> bytes:
        """The value itself, when we gave it to this client; NotOurClass for any other."""
        mark, seal = value[:MARK_OCTETS], value[MARK_OCTETS:]
        if len(value) != CLASS_OCTETS or not hmac.compare_digest(self._seal(mark, client), seal):
            raise NotOurClass("a Class of another server, or of another client's session")
        return value

    def _seal(self, mark: bytes, client: str) -> bytes:
        return blake2b(mark + client.encode(), digest_size=SEAL_OCTETS, key=self._key, person=b"class").digest()
