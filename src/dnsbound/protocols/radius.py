"""RADIUS packets: reading and writing, and what proves that they come from somebody who has the shared secret.

Every Access-Request and Status-Server must carry Message-Authenticator, and every answer to them carries it as its
first attribute: without it, whoever is on the way can turn a rejection into an acceptance (CVE-2024-3596). There is no
way to do without. Requests for accounting and for dynamic authorisation are proved by their Request Authenticator, and
by Message-Authenticator where they have one.

What does not parse is `Malformed`, and what parses and must be dropped is `Discarded`, with the word for why. Neither
is ever answered. Identifiers, authenticators that must be unpredictable and the time are arguments.

Not here: what EAP packets say, values of attributes (`radius_attributes`), passwords, which are never read.

Sections: RFC 2865 sections 3 to 5, RFC 2866 section 3, RFC 3579 sections 3.1 to 3.3, RFC 5176 sections 2.3 and 3,
RFC 5997 sections 2 to 4.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import field
from enum import StrEnum
from functools import lru_cache
from operator import itemgetter
from struct import Struct
from types import MappingProxyType
from typing import Final, Self

from dnsbound.errors import LimitExceeded, Malformed, Misuse, PeerError
from dnsbound.hot_value import hot_value
from dnsbound.iana import RadiusAttribute, RadiusCode
from dnsbound.limits import RADIUS_ATTRIBUTES, RADIUS_OCTETS
from dnsbound.protocols.radius_arrangement import Arrangement, arrangement_of, check_answer_types, check_request_types
from dnsbound.protocols.radius_attributes import MAX_VALUE, Attribute, Attributes, name_of

HEADER: Final = 20
"""Octets before the attributes: code, identifier, length, authenticator."""
ZEROES: Final = bytes(16)

_CODES: Final = MappingProxyType({int(code): code for code in RadiusCode})
_EAP: Final = int(RadiusAttribute.EAP_MESSAGE)
_AUTHENTICATOR: Final = int(RadiusAttribute.MESSAGE_AUTHENTICATOR)
_PROXY_STATE: Final = int(RadiusAttribute.PROXY_STATE)
_HEAD: Final = Struct("!BBH")
_MAC_OCTETS: Final = 16
_BLOCK: Final = 64
"""Octets that MD5 takes at a time."""
_MAC_HEAD: Final = bytes((_AUTHENTICATOR, 2 + _MAC_OCTETS))
_UNSIGNED: Final = _MAC_HEAD + ZEROES
_NUMBER: Final = itemgetter(0)
_VALUE: Final = itemgetter(1)


class Discard(StrEnum):
    """Why a packet is dropped without an answer. The value is what counters and logs show."""

    NOT_A_REQUEST = "not-a-request"
    """A packet of a kind that is only sent in answer."""
    NO_MESSAGE_AUTHENTICATOR = "no-message-authenticator"
    SEVERAL_MESSAGE_AUTHENTICATORS = "several-message-authenticators"
    WRONG_MESSAGE_AUTHENTICATOR = "wrong-message-authenticator"
    """Made with another secret, or changed on its way."""
    WRONG_REQUEST_AUTHENTICATOR = "wrong-request-authenticator"
    """The same, of a request for accounting or dynamic authorisation."""
    WRONG_RESPONSE_AUTHENTICATOR = "wrong-response-authenticator"
    """The same of an answer; or it answers another request."""
    OTHER_IDENTIFIER = "other-identifier"
    NOT_AN_ANSWER = "not-an-answer"
    """A packet of a kind that does not answer this request."""
    REPEATED_ATTRIBUTE = "repeated-attribute"
    """A request that says twice who or where somebody is."""
    SCATTERED_EAP = "scattered-eap"
    """EAP-Message attributes with others between them (RFC 3579 section 3.1)."""
    SEVERAL_AUTHENTICATIONS = "several-authentications"
    """EAP and a password in one request."""
    NO_TIME = "no-time"
    """A request for dynamic authorisation that does not say when it was made."""
    OUT_OF_TIME = "out-of-time"
    """One that was made too long ago, or is dated in the future."""


class Discarded(PeerError):
    """A packet that must be dropped in silence. why: the word for it."""

    def __init__(self, why: Discard, detail: str = "") -> None:
        super().__init__(f"{why.value}: {detail}" if detail else why.value)
        self.why = why


ANSWERS: Final[Mapping[RadiusCode, frozenset[RadiusCode]]] = MappingProxyType(
    {
        RadiusCode.ACCESS_REQUEST: frozenset(
            {RadiusCode.ACCESS_ACCEPT, RadiusCode.ACCESS_REJECT, RadiusCode.ACCESS_CHALLENGE}
        ),
        RadiusCode.ACCOUNTING_REQUEST: frozenset({RadiusCode.ACCOUNTING_RESPONSE}),
        # The port says which of the two (RFC 5997 section 3).
        RadiusCode.STATUS_SERVER: frozenset({RadiusCode.ACCESS_ACCEPT, RadiusCode.ACCOUNTING_RESPONSE}),
        RadiusCode.DISCONNECT_REQUEST: frozenset({RadiusCode.DISCONNECT_ACK, RadiusCode.DISCONNECT_NAK}),
        RadiusCode.COA_REQUEST: frozenset({RadiusCode.COA_ACK, RadiusCode.COA_NAK}),
        **dict.fromkeys(
            (
                *(RadiusCode.ACCESS_ACCEPT, RadiusCode.ACCESS_REJECT, RadiusCode.ACCESS_CHALLENGE),
                *(RadiusCode.ACCOUNTING_RESPONSE, RadiusCode.DISCONNECT_ACK, RadiusCode.DISCONNECT_NAK),
                *(RadiusCode.COA_ACK, RadiusCode.COA_NAK),
            ),
            frozenset[RadiusCode](),
        ),
    }
)
"""Table: what answers a packet of each code; nothing answers an answer."""

CHOSEN_AUTHENTICATOR: Final = frozenset({RadiusCode.ACCESS_REQUEST, RadiusCode.STATUS_SERVER})
"""Requests whose authenticator is random and proves nothing; that of all others is a digest."""


@hot_value
class RadiusPacket:
    """One packet. identifier: 0 to 255. authenticator: 16 octets. attributes: in order, as they are on the wire."""

    code: RadiusCode
    identifier: int
    authenticator: bytes
    attributes: Attributes
    arrangement: Arrangement = field(init=False, repr=False, compare=False)
    """What the types of the attributes say."""
    _firsts: dict[int, bytes] = field(init=False, repr=False, compare=False)
    """The first value of each attribute: a request is asked for its attributes some thirty times."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "arrangement", arrangement_of(tuple(map(_NUMBER, self.attributes))))
        object.__setattr__(self, "_firsts", dict(reversed(self.attributes)))

    @classmethod
    def from_wire(cls, octets: bytes) -> Self:
        """Read a packet; octets behind its length are padding. Malformed for anything RFC 2865 section 3 drops,
        Discarded for EAP-Message attributes that do not follow each other, LimitExceeded for too many attributes."""
        length = int.from_bytes(octets[2:4], "big")
        if len(octets) < max(length, HEADER):
            raise Malformed("RADIUS packet is cut short", len(octets))
        if not HEADER <= length <= RADIUS_OCTETS.default:
            raise Malformed(f"RADIUS packet says it has {length} octets", 2)
        code = _CODES.get(octets[0])
        if code is None:
            raise Malformed(f"RADIUS packet has the unknown code {octets[0]}", 0)
        attributes = _read_attributes(octets, length)
        packet = cls(code=code, identifier=octets[1], authenticator=octets[4:HEADER], attributes=attributes)
        if packet.arrangement.is_scattered:
            raise Discarded(Discard.SCATTERED_EAP)
        return packet

    def to_wire(self) -> bytes:
        """The octets; Misuse for values of the wrong length, LimitExceeded above 4096 octets."""
        body = _attributes_to_wire(self.attributes)
        return _head(self.code, self.identifier, len(body)) + _checked(self.authenticator) + body

    def first(self, attribute: int) -> bytes | None:
        """The value of the first attribute of this type."""
        return self._firsts.get(attribute)

    def firsts(self, attributes: Iterable[int]) -> tuple[bytes | None, ...]:
        """The same for each of several types."""
        return tuple(map(self._firsts.get, attributes))

    def all(self, attribute: int) -> tuple[bytes, ...]:
        """The values of all attributes of this type, in order."""
        if attribute not in self._firsts:
            return ()
        return tuple(value for number, value in self.attributes if number == attribute)

    @property
    def eap_message(self) -> bytes | None:
        """The EAP packet, joined (RFC 3579 section 3.1). Empty: EAP-Start. None: there is no EAP-Message."""
        pieces = self.attributes[self.arrangement.eap]
        return b"".join(map(_VALUE, pieces)) if pieces else None


def split_eap_message(eap: bytes) -> Attributes:
    """EAP-Message attributes of one EAP packet, in order (RFC 3579 section 3.1). An empty one says EAP-Start."""
    return tuple([(_EAP, eap[start : start + MAX_VALUE]) for start in range(0, len(eap) or 1, MAX_VALUE)])


# --- requests


def read_request(octets: bytes, secret: bytes) -> RadiusPacket:
    """A request whose sender has the secret. Malformed, LimitExceeded, or Discarded with the reason."""
    return read_request_of_any(octets, (secret,))[0]


def read_request_of_any(octets: bytes, secrets: Iterable[bytes]) -> tuple[RadiusPacket, bytes]:
    """The same, with one of several secrets while an old one is being replaced: the request, and the secret that
    answers it."""
    packet = RadiusPacket.from_wire(octets)
    if not ANSWERS[packet.code]:
        raise Discarded(Discard.NOT_A_REQUEST, packet.code.name)
    wrong: Discarded | None = None
    for secret in secrets:
        try:
            _check_request(packet, octets, secret)
        except Discarded as error:
            wrong = error
            continue
        _check_once(packet)
        return packet, secret
    raise wrong or Misuse("a RADIUS client has no shared secret")


def request_of(
    code: RadiusCode, identifier: int, attributes: Attributes, secret: bytes, *, authenticator: bytes | None = None
) -> bytes:
    """A request on the wire. authenticator: 16 octets nobody can foresee for Access-Request and Status-Server, None for
    all others, which compute theirs. Message-Authenticator comes first, but has no place in Accounting-Request."""
    if not ANSWERS[code]:
        raise Misuse(f"{code.name} is no request")
    if (authenticator is not None) != (code in CHOSEN_AUTHENTICATOR):
        raise Misuse(f"{code.name} {'computes its' if authenticator is not None else 'needs an'} authenticator")
    check_request_types(tuple(map(_NUMBER, attributes)))
    signed = code is not RadiusCode.ACCOUNTING_REQUEST
    given = ZEROES if authenticator is None else _checked(authenticator)
    head, rest = _signed(code, identifier, given, _given_to_wire(attributes), secret, signed=signed)
    return b"".join((head, given if authenticator is not None else _digest(head, ZEROES, rest, secret), rest))


def _check_request(packet: RadiusPacket, octets: bytes, secret: bytes) -> None:
    """Discarded unless whoever sent the request has the secret."""
    octets = octets[: int.from_bytes(octets[2:4], "big")]
    chosen = packet.code in CHOSEN_AUTHENTICATOR
    if not chosen:
        digest = _digest(octets[:4], ZEROES, octets[HEADER:], secret)
        if not hmac.compare_digest(digest, packet.authenticator):
            raise Discarded(Discard.WRONG_REQUEST_AUTHENTICATOR)
    _check_message_authenticator(packet, octets, packet.authenticator if chosen else ZEROES, secret, required=chosen)


def _check_once(packet: RadiusPacket) -> None:
    """Discarded for a request that two readers could understand differently."""
    arrangement = packet.arrangement
    if arrangement.repeated is not None:
        raise Discarded(Discard.REPEATED_ATTRIBUTE, name_of(arrangement.repeated))
    if arrangement.has_several_authentications:
        raise Discarded(Discard.SEVERAL_AUTHENTICATIONS)


# --- answers


def answer_to(request: RadiusPacket, code: RadiusCode, attributes: Attributes, secret: bytes) -> bytes:
    """The answer on the wire: Message-Authenticator first, then the attributes, then the request's Proxy-States as they
    were. LimitExceeded when it has more than 4096 octets; Misuse for what such an answer must not carry."""
    if code not in ANSWERS[request.code]:
        raise Misuse(f"{code.name} does not answer {request.code.name}")
    check_answer_types(code, tuple(map(_NUMBER, attributes)))
    body = _given_to_wire(attributes)
    if states := request.all(_PROXY_STATE):
        body += _attributes_to_wire(tuple((_PROXY_STATE, state) for state in states))
    # RFC 2866 section 4.2 gives Accounting-Response no place for it, and its own authenticator covers all of it.
    signed = request.code is not RadiusCode.ACCOUNTING_REQUEST
    authenticator = request.authenticator
    head, rest = _signed(code, request.identifier, authenticator, body, secret, signed=signed)
    return b"".join((head, _digest(head, authenticator, rest, secret), rest))


def read_answer(octets: bytes, request_octets: bytes, secret: bytes) -> RadiusPacket:
    """The answer to a request we sent, from somebody who has the secret. Malformed, LimitExceeded, or Discarded: then
    the right one may still come.

    An answer to Access-Request must carry Message-Authenticator; of others it is checked where it is, since servers
    in use answer Status-Server without.
    """
    asked, answer = RadiusPacket.from_wire(request_octets), RadiusPacket.from_wire(octets)
    octets = octets[: int.from_bytes(octets[2:4], "big")]
    if answer.identifier != asked.identifier:
        raise Discarded(Discard.OTHER_IDENTIFIER)
    if answer.code not in ANSWERS[asked.code]:
        raise Discarded(Discard.NOT_AN_ANSWER, f"{answer.code.name} to {asked.code.name}")
    digest = _digest(octets[:4], asked.authenticator, octets[HEADER:], secret)
    if not hmac.compare_digest(digest, answer.authenticator):
        raise Discarded(Discard.WRONG_RESPONSE_AUTHENTICATOR)
    required = asked.code is RadiusCode.ACCESS_REQUEST
    _check_message_authenticator(answer, octets, asked.authenticator, secret, required=required)
    return answer


# --- authenticators


def _digest(head: bytes, authenticator: bytes, rest: bytes, secret: bytes) -> bytes:
    """Request or Response Authenticator: of the packet with this in the authenticator's place (RFC 2865 section 3)."""
    octets = b"".join((head, authenticator, rest, _usable(secret)))
    return hashlib.md5(octets, usedforsecurity=False).digest()


def _check_message_authenticator(
    packet: RadiusPacket, octets: bytes, authenticator: bytes, secret: bytes, *, required: bool
) -> None:
    """Discarded unless there is exactly one, and the right one; none at all is right where it is not required."""
    arrangement = packet.arrangement
    if arrangement.authenticators != 1:
        if arrangement.authenticators:
            raise Discarded(Discard.SEVERAL_MESSAGE_AUTHENTICATORS)
        if required:
            raise Discarded(Discard.NO_MESSAGE_AUTHENTICATOR)
        return
    index = arrangement.authenticator_at
    value = packet.attributes[index][1]
    at = HEADER + 2 * index + 2 + sum(map(len, map(_VALUE, packet.attributes[:index])))
    covered = b"".join((octets[:4], authenticator, octets[HEADER:at], ZEROES, octets[at + _MAC_OCTETS :]))
    if len(value) != _MAC_OCTETS or not hmac.compare_digest(_hmac(secret, covered), value):
        raise Discarded(Discard.WRONG_MESSAGE_AUTHENTICATOR)


def _usable(secret: bytes) -> bytes:
    if not secret:
        raise Misuse("the shared secret is empty: anybody could forge packets (RFC 2865 section 3)")
    return secret


def _hmac(secret: bytes, octets: bytes) -> bytes:
    """HMAC-MD5, from copies of what has its key: choosing the digest and keying it cost more than a packet does."""
    keyed_inner, keyed_outer = _keyed(secret)
    inner, outer = keyed_inner.copy(), keyed_outer.copy()
    inner.update(octets)
    outer.update(inner.digest())
    return outer.digest()


@lru_cache(maxsize=256)
def _keyed(secret: bytes) -> "tuple[hashlib._Hash, hashlib._Hash]":
    """The inner and the outer digest of HMAC with this key (RFC 2104 section 4)."""
    key = _usable(secret) if len(secret) <= _BLOCK else hashlib.md5(secret, usedforsecurity=False).digest()
    inner, outer = (bytes(octet ^ pad for octet in key.ljust(_BLOCK, b"\0")) for pad in (0x36, 0x5C))
    return hashlib.md5(inner, usedforsecurity=False), hashlib.md5(outer, usedforsecurity=False)


def _signed(
    code: RadiusCode, identifier: int, authenticator: bytes, body: bytes, secret: bytes, *, signed: bool
) -> tuple[bytes, bytes]:
    """What stands before and behind the authenticator. signed: with Message-Authenticator as the first attribute, of
    the packet with `authenticator`."""
    if not signed:
        return _head(code, identifier, len(body)), body
    head = _head(code, identifier, len(_UNSIGNED) + len(body))
    mac = _hmac(secret, b"".join((head, authenticator, _UNSIGNED, body)))
    return head, b"".join((_MAC_HEAD, mac, body))


# --- framing


def _head(code: RadiusCode, identifier: int, octets: int) -> bytes:
    """Code, identifier and length. octets: of the attributes."""
    length = HEADER + octets
    if length > RADIUS_OCTETS.default:
        raise LimitExceeded(RADIUS_OCTETS.name, f"a packet of {length} octets")
    if not 0 <= identifier <= 0xFF:
        raise Misuse(f"an identifier is one octet, not {identifier}")
    return _HEAD.pack(code, identifier, length)


def _checked(authenticator: bytes) -> bytes:
    if len(authenticator) != len(ZEROES):
        raise Misuse(f"an authenticator has {len(ZEROES)} octets, not {len(authenticator)}")
    return authenticator


def _given_to_wire(attributes: Attributes) -> bytes:
    """Misuse, too, for empty values, which must be left out (RFC 2865 section 5); EAP-Start alone is one."""
    if not all(map(_VALUE, attributes)):
        for number, value in attributes:
            if not value and number != _EAP:
                raise Misuse(f"{name_of(number)} is empty")
    return _attributes_to_wire(attributes)


def _attributes_to_wire(attributes: Attributes) -> bytes:
    try:
        if 0 not in map(_NUMBER, attributes):
            return b"".join([bytes((number, len(value) + 2)) + value for number, value in attributes])
    except ValueError:  # a number or a length that is no octet
        pass
    raise Misuse(f"an attribute has a number from 1 to 255, and a value of {MAX_VALUE} octets at most")


def _read_attributes(octets: bytes, length: int) -> Attributes:
    found: list[Attribute] = []
    at = HEADER
    for _ in range(RADIUS_ATTRIBUTES.default):
        if at + 2 > length:
            break
        end = at + octets[at + 1]
        if end < at + 2 or end > length:
            break
        found.append((octets[at], octets[at + 2 : end]))
        at = end
    else:
        if at < length:
            raise LimitExceeded(RADIUS_ATTRIBUTES.name, f"more than {RADIUS_ATTRIBUTES.default} in one packet")
    if at != length:
        raise Malformed("RADIUS attribute is longer than the packet, or shorter than itself", at)
    return tuple(found)
