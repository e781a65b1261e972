"""CMS as text: PEM blocks (RFC 7468 section 9), under the labels that programs give them."""

import binascii
import re
from base64 import b64decode, b64encode
from typing import Final

from dnsbound.errors import Malformed
from dnsbound.object_limits import CMS_OCTETS

CMS: Final = "CMS"
"""RFC 7468 section 9."""
GIT: Final = "SIGNED MESSAGE"
"""What gpgsm writes, and Git takes for a signature in X.509 form."""
LABELS: Final = (CMS, "PKCS7", GIT, "PKCS #7 SIGNED DATA")
"""What is read; `PKCS7` is OpenSSL's and RFC 7468 section 8's."""

_LINE: Final = 64
_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9# ]{1,32})-----([A-Za-z0-9+/=\s]*)-----END ([A-Z0-9# ]{1,32})-----")


def to_pem(message: bytes, label: str = CMS) -> bytes:
    """One block of text."""
    text = b64encode(message)
    lines = b"".join(text[start : start + _LINE] + b"\n" for start in range(0, len(text), _LINE))
    name = label.encode("ascii")
    return b"-----BEGIN %s-----\n%s-----END %s-----\n" % (name, lines, name)


def from_pem(text: bytes) -> bytes:
    """The octets of the one block that the text has. Malformed when it has none, or several."""
    if len(text) > 2 * CMS_OCTETS.default:
        raise Malformed("the text is longer than any message")
    blocks = _BLOCK.findall(text)
    if len(blocks) != 1 or text.count(b"-----BEGIN ") != 1:
        raise Malformed(f"the text has {len(blocks) or 'no'} block{'s' if len(blocks) > 1 else ''} of CMS, not one")
    label, body, end = blocks[0]
    if label != end or label.decode("ascii") not in LABELS:
        raise Malformed(f"a block of {label.decode('ascii')} is no CMS")
    try:
        return b64decode(b"".join(body.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("the block is not base64") from None


def octets_of(message: bytes) -> bytes:
    """A message in PEM, or the octets as they are."""
    return from_pem(message) if message.lstrip()[:11] == b"-----BEGIN " else message
