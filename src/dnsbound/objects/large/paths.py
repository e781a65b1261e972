"""Which paths a manifest may name: relative, with `/`, downwards only.

A manifest is a stranger's word even when its signature holds: the signer may have been made to sign anything. No file
is found by such a path before it has passed here, and links on the way are the edge's to refuse
(`dnsbound.edge.content_paths`).
"""

from typing import Final

from dnsbound.errors import Malformed
from dnsbound.object_limits import MANIFEST_PATH_OCTETS

_SHOWN: Final = 80
_NAME_OCTETS: Final = 255
"""NAME_MAX of every file system in use."""


def checked_path(text: str) -> str:
    """The path as it is; Malformed for one that is absolute, climbs, has another spelling or cannot be printed."""
    try:
        octets = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        raise Malformed("path in a manifest: not Unicode text") from None
    if not 0 < octets <= MANIFEST_PATH_OCTETS.default:
        raise Malformed(f"path in a manifest: {octets} octets")
    if not text.isprintable():
        raise Malformed("path in a manifest: holds a character that cannot be printed")
    if "\\" in text or text[1:2] == ":":
        raise Malformed(f"path in a manifest: {text[:_SHOWN]!r} is of another kind of system")
    for component in text.split("/"):
        if component in ("", ".", "..") or len(component.encode("utf-8")) > _NAME_OCTETS:
            raise Malformed(f"path in a manifest: {text[:_SHOWN]!r} is not a plain way down")
    return text
