"""What signature formats have in common where content lies outside the signature: making one while the content goes by,
and giving the content to one that was parsed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from dnsbound.names import ClientName
from dnsbound.objects.signed import SignedObject
from dnsbound.times import Moment


class ContentSigning(Protocol):
    """A signature in the making."""

    def update(self, octets: bytes | memoryview) -> None: ...

    def finish(self) -> bytes:
        """The signature, as it is sent, over all that was given."""
        ...


class CoveredContent(Protocol):
    """The content of a signature that covers it from outside, while it is given piece by piece."""

    def update(self, octets: bytes | memoryview) -> None:
        """Refused as soon as it cannot be what was signed."""
        ...

    def finish(self) -> SignedObject:
        """What was signed, with all that was given; still to be verified unless it has been. Refused when the content
        is another than the one that was signed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A signature that parses. Nothing of it is trusted.

    One of three: `signed` alone, and the payload is inside; both, and `signed` is verified before the content is given,
    which then is compared with it; `content` alone, and what is to be verified is there once all content was given.
    """

    typ: str | None
    """What kind of payload it is, as `typ` of JOSE and COSE without `application/`."""
    signed: SignedObject | None
    content: CoveredContent | None = None
    check: Callable[[Moment, str | None], None] | None = None
    """What else must hold of a token at a moment, for an audience: raises Refused. None where nothing must."""
    claim: Callable[[ClientName], None] | None = None
    """Of a form whose signatures say no name: to be told first whose this one should be."""
