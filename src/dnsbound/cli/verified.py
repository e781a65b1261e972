"""What came of verifying one file or token, for people and for programs."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from dnsbound.cli.exit_codes import ExitCode, exit_code_of_reason, printable
from dnsbound.cli.output import emit, say
from dnsbound.cli.remedies import REMEDY
from dnsbound.errors import Refused, Undecided
from dnsbound.times import iso

if TYPE_CHECKING:
    from dnsbound.objects.signed import SignedObject, VerifiedObject

_WORD = {ExitCode.YES: "yes", ExitCode.NO: "no", ExitCode.UNDECIDED: "undecided"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Yes, by whom; or why not."""

    file: str
    verified: "VerifiedObject | None" = None
    """Who signed, also of content that is not what was signed."""
    claimed: "SignedObject | None" = None
    """Who is said to have signed, where that did not hold."""
    error: Refused | Undecided | None = None
    size: int | None = None
    media_type: str | None = None
    """By the signer's word."""
    wrong: tuple[tuple[int, int], ...] = ()
    """From which octet to which the content is not what was signed, where that is known."""
    facts: dict[str, object] = field(default_factory=dict)
    """More for programs."""
    is_told: bool = True
    """False where something else is printed for it."""

    @classmethod
    def of(
        cls, file: str, verified: "VerifiedObject", *, size: int | None = None, media_type: str | None = None
    ) -> Self:
        return cls(file=file, verified=verified, size=size, media_type=media_type)

    @classmethod
    def failed(cls, file: str, error: Refused | Undecided, *, claimed: "SignedObject | None" = None) -> Self:
        return cls(file=file, error=error, claimed=claimed)

    def but(self, error: Refused | Undecided, *, wrong: tuple[tuple[int, int], ...] = ()) -> Self:
        """The signature holds, and the content is not what it is of."""
        return replace(self, error=error, wrong=wrong)

    def silently(self) -> Self:
        return replace(self, is_told=False)

    @property
    def code(self) -> ExitCode:
        return ExitCode.YES if self.error is None else exit_code_of_reason(self.error.reason)


def told(outcome: Outcome, *, as_json: bool) -> ExitCode:
    """Print it; the exit code it stands for."""
    if outcome.is_told and as_json:
        emit(_facts(outcome))
    elif outcome.is_told:
        say(printable(_line(outcome)))
        for first, end in outcome.wrong:
            say(f"  octets {first} to {end - 1} are not what was signed")
    return outcome.code


def _line(outcome: Outcome) -> str:
    if outcome.error is not None:
        reason = outcome.error.reason
        detail = f": {outcome.error.detail}" if outcome.error.detail else ""
        return f"{outcome.file}: {_WORD[outcome.code]}: {reason.value}{detail} ({REMEDY[reason]})"
    verified = outcome.verified
    assert verified is not None
    peer = verified.peer
    return (
        f"{outcome.file}: signed by {verified.name} ({verified.algorithm}, {_record(verified)}), "
        f"looked up until {iso(peer.valid_until)}"
    )


def _record(verified: "VerifiedObject") -> str:
    record = verified.peer.record
    return f"{int(record.usage)} {int(record.selector)} {int(record.matching_type)}"


def _facts(outcome: Outcome) -> dict[str, object]:
    error = outcome.error
    facts: dict[str, object] = {
        "file": outcome.file,
        "outcome": _WORD[outcome.code],
        "reason": None if error is None else error.reason.value,
        "detail": "" if error is None else error.detail,
    }
    if outcome.claimed is not None:
        facts["claimed"] = str(outcome.claimed.name)
    if outcome.verified is not None:
        facts |= _who(outcome.verified)
    known = {"size": outcome.size, "type": outcome.media_type}
    facts |= {key: value for key, value in known.items() if value is not None}
    if outcome.wrong:
        facts["wrong"] = [list(span) for span in outcome.wrong]
    return facts | outcome.facts


def _who(verified: "VerifiedObject") -> dict[str, object]:
    peer = verified.peer
    return {
        "name": str(verified.name),
        "form": verified.signed.form,
        "algorithm": verified.algorithm,
        "record": peer.record.to_text(),
        "spki_sha256": verified.spki_sha256.hex(),
        "verified_at": iso(peer.verified_at),
        "until": iso(peer.valid_until),
        "grants": dict(peer.grants),
    }
