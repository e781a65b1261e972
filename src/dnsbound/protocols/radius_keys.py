"""Keys of the link in RADIUS: MS-MPPE-Recv-Key and MS-MPPE-Send-Key under the shared secret, and EAP-Key-Name.

The keys are as secret as the shared secret is, and no more: whoever knows it reads them. Salts are arguments; two of
one packet differ and have their first bit set.

Sections: RFC 2548 sections 2.4.2 and 2.4.3 (formats, encryption), RFC 3580 section 3.16, RFC 4072 section 4.1.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from dnsbound.errors import Malformed, Misuse
from dnsbound.iana import RadiusAttribute
from dnsbound.protocols.radius import RadiusPacket
from dnsbound.protocols.radius_attributes import MAX_VALUE, Attribute, Attributes

MICROSOFT: Final = 311
"""Vendor number."""
SEND_KEY: Final = 16
RECV_KEY: Final = 17
KEY_OCTETS: Final = 32
_VENDOR_SPECIFIC: Final = int(RadiusAttribute.VENDOR_SPECIFIC)
_MICROSOFT: Final = MICROSOFT.to_bytes(4, "big")
_BLOCK: Final = 16
_SALT: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class MppeKeys:
    """As the network access server calls them: recv is MSK(0,31), send is MSK(32,63) (RFC 5216 section 2.3)."""

    recv: bytes = field(repr=False)
    send: bytes = field(repr=False)


def salts_from(entropy: bytes) -> tuple[bytes, bytes]:
    """Two salts out of four random octets: first bits set, never equal."""
    if len(entropy) != 2 * _SALT:
        raise Misuse("two salts are made of four octets")
    first, second = bytes((entropy[0] | 0x80, entropy[1])), bytes((entropy[2] | 0x80, entropy[3]))
    return first, second if second != first else bytes((second[0], second[1] ^ 1))


def mppe_keys(msk: bytes, request_authenticator: bytes, secret: bytes, salts: tuple[bytes, bytes]) -> Attributes:
    """The two attributes of an Access-Accept. msk: 64 octets. salts: of `salts_from`."""
    if len(msk) != 2 * KEY_OCTETS:
        raise Misuse(f"an MSK has 64 octets, not {len(msk)}")
    first, second = salts
    if first == second or not (len(first) == len(second) == _SALT and first[0] & second[0] & 0x80):
        raise Misuse("salts differ, and have two octets and their first bit set")
    recv, send = msk[:KEY_OCTETS], msk[KEY_OCTETS:]
    return (
        _vendor_attribute(RECV_KEY, salts[0] + _encrypted(recv, request_authenticator, secret, salts[0])),
        _vendor_attribute(SEND_KEY, salts[1] + _encrypted(send, request_authenticator, secret, salts[1])),
    )


def read_mppe_keys(attributes: Attributes, request_authenticator: bytes, secret: bytes) -> MppeKeys | None:
    """The keys in an Access-Accept; None where there are none. Malformed for one without the other, for two of a kind,
    and for what does not decrypt to a key with this secret."""
    found: dict[int, bytes] = {}
    for number, value in _microsoft(attributes):
        if number not in (SEND_KEY, RECV_KEY):
            continue
        if number in found:
            raise Malformed("an MS-MPPE key stands twice in one packet")
        found[number] = _decrypted(value, request_authenticator, secret)
    if not found:
        return None
    if len(found) == 1:
        raise Malformed("of the MS-MPPE keys only one is there")
    return MppeKeys(recv=found[RECV_KEY], send=found[SEND_KEY])


def eap_key_name(request: RadiusPacket, session_id: bytes) -> Attributes:
    """EAP-Key-Name with the Session-Id, if the request asks for it, and nothing otherwise (RFC 4072 section 4.1)."""
    if request.first(RadiusAttribute.EAP_KEY_NAME) is None:
        return ()
    if not 1 <= len(session_id) <= MAX_VALUE:
        raise Misuse(f"a Session-Id of {len(session_id)} octets does not fit EAP-Key-Name")
    return ((int(RadiusAttribute.EAP_KEY_NAME), session_id),)


def _vendor_attribute(number: int, value: bytes) -> Attribute:
    inner = bytes((number, len(value) + 2)) + value
    return _VENDOR_SPECIFIC, _MICROSOFT + inner


def _microsoft(attributes: Attributes) -> Iterator[tuple[int, bytes]]:
    """Microsoft's attributes; several may stand in one Vendor-Specific (RFC 2865 section 5.26)."""
    for number, value in attributes:
        if number != RadiusAttribute.VENDOR_SPECIFIC or value[:4] != _MICROSOFT:
            continue
        at = 4
        while at < len(value):
            end = at + (value[at + 1] if at + 1 < len(value) else 0)
            if end < at + 2 or end > len(value):
                raise Malformed("Vendor-Specific of Microsoft does not parse", at)
            yield value[at], value[at + 2 : end]
            at = end


def _encrypted(key: bytes, request_authenticator: bytes, secret: bytes, salt: bytes) -> bytes:
    plain = bytes((len(key),)) + key
    plain += bytes(-len(plain) % _BLOCK)
    cipher, mask_of = b"", secret + request_authenticator + salt
    for start in range(0, len(plain), _BLOCK):
        block = _masked(plain[start : start + _BLOCK], mask_of)
        cipher, mask_of = cipher + block, secret + block
    return cipher


def _decrypted(value: bytes, request_authenticator: bytes, secret: bytes) -> bytes:
    salt, cipher = value[:_SALT], value[_SALT:]
    if not cipher or len(cipher) % _BLOCK or salt[0] < 0x80:
        raise Malformed(f"an MS-MPPE key of {len(value)} octets, or with a salt whose first bit is not set")
    plain, mask_of = b"", secret + request_authenticator + salt
    for start in range(0, len(cipher), _BLOCK):
        block = cipher[start : start + _BLOCK]
        plain, mask_of = plain + _masked(block, mask_of), secret + block
    length = plain[0]
    if not 1 <= length < len(plain) or any(plain[length + 1 :]):
        raise Malformed("an MS-MPPE key that is none with this secret")
    return plain[1 : length + 1]


def _masked(block: bytes, mask_of: bytes) -> bytes:
    mask = hashlib.md5(mask_of, usedforsecurity=False).digest()
    return (int.from_bytes(block, "big") ^ int.from_bytes(mask, "big")).to_bytes(_BLOCK, "big")
