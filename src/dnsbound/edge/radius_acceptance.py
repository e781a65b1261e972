"""What an Access-Accept says: the keys of the link, what the access list grants, for how long, and as whom.

For how long (Session-Timeout) is the network's `session_timeout`, or what the access list grants. Where the access
server can be told to end a session (RFC 5176), that is all: a removed record ends the session when it is found to be
gone. Where it cannot be told, the session ends with the DNS evidence as well, but not before the network's
`session_timeout`. Evidence often lives for a minute, and a network whose devices all authenticated anew each minute
would fail together with its RADIUS server; `session_timeout` is how long a removed record may live on there.

Grants that cannot be said in RADIUS are found by `prepare`, before the client is told that it is in.

Documents: RFC 2548 2.4; RFC 2865 5.25, 5.27; RFC 3580 3.17, 3.19; RFC 4072 4.1; RFC 4372 2.2.
"""

from collections.abc import Callable
from typing import Final

from dnsbound.edge.radius_admission import Admission, Supervision, identifying
from dnsbound.edge.radius_asked import Asked
from dnsbound.edge.radius_clients import RadiusOrigin
from dnsbound.edge.radius_configuration import NetworkRule
from dnsbound.hot_value import hot_value
from dnsbound.iana import RadiusAttribute, RadiusCode
from dnsbound.protocols.eap_server import Accepted
from dnsbound.protocols.radius_attributes import MAX_VALUE, Attributes, names_of
from dnsbound.protocols.radius_grants import AttributeNames, RadiusGrant, session_attributes, session_seconds
from dnsbound.protocols.radius_identity import chargeable_identity_attributes, chargeable_user_identity, operator_of
from dnsbound.protocols.radius_keys import eap_key_name, mppe_keys, salts_from
from dnsbound.times import Moment
from dnsbound.verify.access_text import Grants
from dnsbound.verify.claim import Claim
from dnsbound.verify.peer import VerifiedPeer

_SALT_OCTETS: Final = 4
_REMEMBERED: Final = 1024
_CLASS: Final = int(RadiusAttribute.CLASS)
_USER_NAME: Final = int(RadiusAttribute.USER_NAME)


@hot_value
class Acceptance:
    """What was prepared of an Access-Accept before its client was told that it is in. session_timeout: seconds.
    tells_name: User-Name is the verified name; otherwise a handle, or nothing where no key makes handles."""

    attributes: Attributes
    session_timeout: int
    tells_name: bool


@hot_value
class AcceptAnswer:
    """An Access-Accept on the wire, and the names of what is in it."""

    octets: bytes
    names: tuple[str, ...]


class _GrantsRead:
    """Grants as attributes, remembered by the very object they came in: an entry of the access list grants the same to
    all names below its pattern."""

    def __init__(self, names: AttributeNames | None) -> None:
        self._names = names
        self._known: dict[tuple[int, int], tuple[Grants, RadiusGrant, Attributes]] = {}

    def read(self, grants: Grants, *, tag: int) -> tuple[RadiusGrant, Attributes]:
        """Malformed for a grant that RADIUS has no attribute for."""
        known = self._known.get((id(grants), tag))
        if known is None or known[0] is not grants:
            grant = RadiusGrant.parse(grants, self._names)
            known = grants, grant, grant.to_attributes(tag=tag)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[id(grants), tag] = known
        return known[1:]


class Acceptor:
    """Makes the Access-Accepts of one process. supervision: told of each; nobody without it. names: knows attributes
    that grants name. handle_key: makes the handles of clients (RFC 4372); without it there are none."""

    def __init__(
        self,
        *,
        supervision: Supervision | None,
        names: AttributeNames | None,
        handle_key: bytes | None,
        clock: Callable[[], Moment],
        entropy: Callable[[int], bytes],
    ) -> None:
        self._supervision = supervision
        self._grants = _GrantsRead(names)
        self.handle_key = handle_key
        self._clock = clock
        self._entropy = entropy

    def read_grants_by(self, names: AttributeNames | None) -> None:
        """From now on these names are known."""
        self._grants = _GrantsRead(names)

    def prepare(self, rule: NetworkRule, origin: RadiusOrigin, peer: VerifiedPeer) -> Acceptance:
        """What a verified client of this network is granted. origin: where its access server asks. Malformed for a
        grant that RADIUS has no attribute for."""
        grant, attributes = self._grants.read(peer.grants, tag=origin.client.vlan_tag)
        can_be_told = self._supervision is not None and origin.takes_dynamic_authorisation
        seconds = session_seconds(
            grant.session_timeout,
            network=rule.session_timeout,
            evidence=None if can_be_told else peer.valid_until - self._clock(),
        )
        return Acceptance(
            attributes=(*session_attributes(seconds, reauthenticate=rule.reauthenticate), *attributes),
            session_timeout=seconds,
            tells_name=rule.tell_name,
        )

    def accept(
        self, acceptance: Acceptance, accepted: Accepted, asked: Asked, claim: Claim, *, network: str
    ) -> AcceptAnswer:
        """LimitExceeded when the answer has no room, or nobody can keep account of the session."""
        request, client = asked.request, asked.origin.client
        salts = salts_from(self._entropy(_SALT_OCTETS))
        attributes = (
            *mppe_keys(accepted.keys.msk, request.authenticator, asked.secret, salts),
            *eap_key_name(request, accepted.keys.session_id),
            *acceptance.attributes,
            *self._identity(acceptance, asked, accepted.peer),
        )
        access_class = b"" if self._supervision is None else self._supervision.new_class(client.label)
        if access_class:
            attributes += ((_CLASS, access_class),)
        octets = asked.answer_eap(RadiusCode.ACCESS_ACCEPT, accepted.eap, attributes)
        if self._supervision is not None:
            self._supervision.admitted(
                Admission(
                    access_class=access_class,
                    network=network,
                    client=client.label,
                    address=asked.origin.address,
                    peer=accepted.peer,
                    claim=claim,
                    identification=identifying(request.attributes, attributes),
                    session_timeout=acceptance.session_timeout,
                    at=self._clock(),
                )
            )
        return AcceptAnswer(octets=octets, names=names_of(tuple([number for number, _ in attributes])))

    def _identity(self, acceptance: Acceptance, asked: Asked, peer: VerifiedPeer) -> Attributes:
        """As whom the session is accounted for: by name, or by a handle that means nothing elsewhere."""
        if self.handle_key is None:
            return _user_name(peer.name.canonical) if acceptance.tells_name else ()
        operator = operator_of(asked.request, asked.origin.client.label)
        handle = chargeable_user_identity(peer.name, operator, self.handle_key)
        told = peer.name.canonical if acceptance.tells_name else handle.decode()
        return (*_user_name(told), *chargeable_identity_attributes(asked.request, handle))


def _user_name(name: str) -> Attributes:
    """A name that does not fit is left away: half of one would be another."""
    return ((_USER_NAME, name.encode()),) if len(name) <= MAX_VALUE else ()
