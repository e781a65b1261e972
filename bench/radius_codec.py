"""Our RADIUS codec against pyrad's, for one exchange of an EAP conversation: an Access-Request is read, and its
Message-Authenticator checked; the EAP packet is joined; an Access-Challenge with a kilobyte of EAP is written, signed.

pyrad works with raw octets, without looking values up in a dictionary, which is its fastest way. The first row is what
nobody can leave out: the two HMACs and the MD5 over the same octets. All three answers are the same octets, which is
checked before anything is measured.
"""

import hashlib
import hmac
from collections.abc import Callable
from functools import partial

from pyrad.packet import AuthPacket

from bench.rounds import least, seconds_each
from bench.table import Table
from dnsbound.iana import RadiusAttribute, RadiusCode
from dnsbound.protocols.radius import answer_to, read_request, request_of, split_eap_message
from dnsbound.protocols.radius_attributes import integer

SECRET = b"a secret of sixteen octets or more"
AUTHENTICATOR = bytes(range(16))
STATE = bytes(17)
ASKED = bytes.fromhex("0202 0406 0dc0") + bytes(index % 251 for index in range(1024))
TOLD = bytes.fromhex("0103 0406 0dc0") + bytes(index % 241 for index in range(1024))


def measure(repeats: int, rounds: int) -> Table:
    """Microseconds of processor time for one exchange."""
    request = _request()
    work = {"two HMACs and an MD5": _bare(request), "dnsbound": _ours(request), "pyrad": _pyrad(request)}
    if work["dnsbound"]() != work["pyrad"]():
        raise RuntimeError("the two codecs answer differently")
    best = least({label: partial(seconds_each, once, repeats) for label, once in work.items()}, rounds)
    table = Table("RADIUS, one exchange of EAP read and answered", ["codec", "us", "of pyrad's"])
    for label, seconds in best.items():
        table.row(label, f"{seconds * 1e6:.1f}", f"{seconds / best['pyrad']:.2f}")
    table.note(f"The request has {len(request)} octets, the answer {len(_ours(request)())}.")
    return table


def _request() -> bytes:
    """As an access point sends it."""
    attributes = (
        (RadiusAttribute.USER_NAME, b"@cars.example"),
        (RadiusAttribute.NAS_IDENTIFIER, b"ap-3.east.isp.example"),
        (RadiusAttribute.NAS_IP_ADDRESS, bytes((192, 0, 2, 7))),
        (RadiusAttribute.NAS_PORT, integer(5)),
        (RadiusAttribute.NAS_PORT_TYPE, integer(19)),
        (RadiusAttribute.CALLED_STATION_ID, b"00-1A-2B-3C-4D-5E:public"),
        (RadiusAttribute.CALLING_STATION_ID, b"02-00-00-00-00-01"),
        (RadiusAttribute.FRAMED_MTU, integer(1400)),
        (RadiusAttribute.CONNECT_INFO, b"CONNECT 11Mbps 802.11b"),
        *split_eap_message(ASKED),
        (RadiusAttribute.STATE, STATE),
    )
    return request_of(RadiusCode.ACCESS_REQUEST, 7, attributes, SECRET, authenticator=AUTHENTICATOR)


def _bare(request: bytes) -> Callable[[], object]:
    answer = _ours(request)()

    def once() -> object:
        hmac.digest(SECRET, request, "md5")
        hmac.digest(SECRET, answer, "md5")
        return hashlib.md5(answer + SECRET).digest()

    return once


def _ours(request: bytes) -> Callable[[], bytes]:
    def once() -> bytes:
        asked = read_request(request, SECRET)
        if asked.eap_message != ASKED:
            raise RuntimeError("another EAP packet than was sent")
        attributes = (*split_eap_message(TOLD), (RadiusAttribute.STATE, STATE))
        return answer_to(asked, RadiusCode.ACCESS_CHALLENGE, attributes, SECRET)

    return once


def _pyrad(request: bytes) -> Callable[[], bytes]:
    def once() -> bytes:
        asked = AuthPacket(packet=request, secret=SECRET)
        if not asked.verify_message_authenticator() or b"".join(asked[79]) != ASKED:
            raise RuntimeError("another EAP packet than was sent")
        reply = asked.CreateReply()
        reply.code = 11
        reply[79] = [TOLD[start : start + 253] for start in range(0, len(TOLD), 253)]
        reply[24] = [STATE]
        answer: bytes = reply.ReplyPacket()
        return answer

    return once
