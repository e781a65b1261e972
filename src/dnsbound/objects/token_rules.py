"""When, and for whom, a token holds: the same for JSON Web Tokens and CBOR Web Tokens (RFC 7519 section 4.1, RFC 8392
section 3.1, RFC 8725 section 3.9)."""

from dataclasses import dataclass

from dnsbound.errors import Reason, Refused
from dnsbound.object_limits import OBJECT_SKEW_SECONDS
from dnsbound.times import Moment, Seconds, iso


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenBounds:
    """Its claims about audience and time."""

    audience: tuple[str, ...] = ()
    """Empty without `aud`."""
    expires: Moment | None = None
    not_before: Moment | None = None
    issued_at: Moment | None = None

    def check(
        self,
        *,
        now: Moment,
        audience: str | None,
        skew: Seconds = OBJECT_SKEW_SECONDS.default,
        danger_eternal: bool = False,
    ) -> None:
        """Refused with STALE unless the token holds now, give or take `skew`, with WRONG_AUDIENCE unless it is meant
        for `audience`; None takes tokens that are meant for nobody in particular. danger_eternal: also those that
        never end."""
        if audience is None and self.audience:
            raise Refused(Reason.WRONG_AUDIENCE, "the token is meant for somebody, and nobody is expected")
        if audience is not None and audience not in self.audience:
            raise Refused(Reason.WRONG_AUDIENCE, f"the token is not meant for {audience}")
        if self.expires is None and not danger_eternal:
            raise Refused(Reason.STALE, "the token does not say when it ends")
        if self.expires is not None and now >= self.expires + skew:
            raise Refused(Reason.STALE, f"the token ended at {iso(self.expires)}")
        for what, moment in (("holds from", self.not_before), ("was made at", self.issued_at)):
            if moment is not None and moment > now + skew:
                raise Refused(Reason.STALE, f"the token {what} {iso(moment)}, which is to come")
