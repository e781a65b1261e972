"""What a RADIUS server hands on when it has let somebody in, and to whom.

After each Access-Accept the service makes an `Admission` and gives it to a `Supervision` (`radius_live`), which keeps
account of the session and ends it when the client's name stops meaning its key. The Class of the Access-Accept is the
supervision's: access servers repeat it in their accounting (RFC 2865 section 5.25), and so lead back to the admission.
"""

from collections.abc import Iterable
from itertools import chain
from typing import Final, Protocol

from dnsbound.hot_value import hot_value
from dnsbound.times import Moment, Seconds
from dnsbound.verify.claim import Claim
from dnsbound.verify.peer import VerifiedPeer

IDENTIFYING: Final = frozenset({1, 4, 5, 30, 31, 32, 44, 50, 87, 89, 95})
"""Attributes by which an access server knows one of its sessions (RFC 5176 section 3): User-Name, NAS-IP-Address,
NAS-Port, Called-Station-Id, Calling-Station-Id, NAS-Identifier, Acct-Session-Id, Acct-Multi-Session-Id, NAS-Port-Id,
Chargeable-User-Identity, NAS-IPv6-Address."""


@hot_value
class Admission:
    """One client that was let in.

    access_class: the value of Class in the Access-Accept, from `Supervision.new_class`. network, client: labels of
    radius.toml. address: where the Access-Request came from. identification: `identifying` of the Access-Request and
    the Access-Accept. session_timeout: that of the Access-Accept.
    """

    access_class: bytes
    network: str
    client: str
    address: str
    peer: VerifiedPeer
    claim: Claim
    identification: tuple[tuple[int, bytes], ...]
    session_timeout: Seconds
    at: Moment


def identifying(
    request: Iterable[tuple[int, bytes]], accept: Iterable[tuple[int, bytes]]
) -> tuple[tuple[int, bytes], ...]:
    """The attributes by which the access server will know the session, of an Access-Request and its Access-Accept: what
    the Accept says of them (User-Name, Chargeable-User-Identity) replaces what the request said."""
    said = chain(request, accept)
    known = {int(number): value for number, value in said if number in IDENTIFYING and value.strip(b"\0")}
    return tuple(sorted(known.items()))


class Supervision(Protocol):
    """Who keeps account of the sessions. For the thread of the event loop alone; neither call waits."""

    def new_class(self, client: str) -> bytes:
        """The value of Class for an Access-Accept to this client (its label); nobody can guess it."""

    def admitted(self, admission: Admission) -> None:
        """An Access-Accept was made. LimitExceeded when there are too many sessions: then it must not be sent."""
