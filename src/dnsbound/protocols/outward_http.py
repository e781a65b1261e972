"""HTTP/1.1 outward: the filter of a client-side gate that tells a program by status 502 why its server was not reached.

All else passes unread; so a 502 is said only where nothing of the server's was (RFC 9110 section 15.6.3).
"""

from typing import Final

from dnsbound.protocols.gated import BackendError, PassedThrough, Step

_MOST: Final = 512
"""Characters of the reason."""


class OutwardHttp(PassedThrough):
    """`protocol = "http"` of a client-side gate."""

    __slots__ = ()

    def unreachable(self, error: BackendError) -> Step:
        """A response with the reason as text. Nothing in it comes from another machine unfiltered."""
        said = "".join(each if each.isprintable() else " " for each in str(error))[:_MOST]
        body = said.encode("ascii", "replace") + b"\n"
        head = (
            "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        return Step(to_client=head.encode() + body, end=error)
