"""What `dnsbound eap test` says: lines for people, an object for programs, and the exit code."""

from collections.abc import Mapping
from statistics import median
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from dnsbound.cli.exit_codes import ExitCode, printable
from dnsbound.cli.output import emit, say

if TYPE_CHECKING:
    from dnsbound.cli.eap_trials import ServerShown
    from dnsbound.edge.eap_client import Trial
    from dnsbound.protocols.radius_attributes import Attributes

EXIT_CODE_OF_VERDICT: Final[Mapping[str, ExitCode]] = MappingProxyType(
    {
        # By value, so that the help page loads nothing; a test compares them with the enumeration.
        "admitted": ExitCode.YES,
        "refused": ExitCode.NO,
        "not-believed": ExitCode.NO,
        "undecided": ExitCode.UNDECIDED,
        "no-answer": ExitCode.UNDECIDED,
        "broken": ExitCode.UNDECIDED,
    }
)
_KEYS: Final = {True: "match", False: "differ", None: "none"}
_TO_MS: Final = 1000


class Telling:
    """Tells trials as they end. alone: there is one, told at length."""

    def __init__(self, *, as_json: bool, alone: bool) -> None:
        self._as_json = as_json
        self._alone = alone
        self._codes: list[ExitCode] = []
        self._seconds: list[float] = []
        self._resumed = 0

    def tell(self, trial: "Trial", shown: "ServerShown") -> None:
        self._codes.append(EXIT_CODE_OF_VERDICT[trial.verdict.value])
        self._seconds.append(trial.seconds)
        self._resumed += trial.done is not None and trial.done.resumed
        if self._as_json:
            emit(trial_facts(trial, shown))
        elif self._alone:
            _tell_one(trial, shown)
        elif self._codes[-1] is not ExitCode.YES:
            say(f"{len(self._codes)}: {trial.verdict.value}: {printable(trial.why)}")

    def end(self) -> ExitCode:
        """What all of them together say: undecided above no, no above yes."""
        if not self._alone and not self._as_json:
            admitted = self._codes.count(ExitCode.YES)
            took = sorted(self._seconds)
            say(f"{admitted} of {len(self._codes)} admitted, {self._resumed} resumed")
            say(f"ms: least {_ms(took[0])}, median {_ms(median(took))}, most {_ms(took[-1])}")
        return max(self._codes, default=ExitCode.UNDECIDED)


def trial_facts(trial: "Trial", shown: "ServerShown") -> dict[str, object]:
    """One trial for `--json`."""
    done = trial.done
    return {
        "verdict": trial.verdict.value,
        "why": trial.why,
        "tls": None if done is None else done.tls_version,
        "resumed": None if done is None else done.resumed,
        "keys": None if done is None else _KEYS[trial.keys_match],
        "round_trips": trial.round_trips,
        "ms": _ms(trial.seconds),
        "steps": [
            {"said": step.said, "answer": step.answer, "ms": _ms(step.seconds), "sent": step.sent}
            for step in trial.steps
        ],
        "reply": reply_facts(trial.attributes),
        "server": {"names": list(shown.names), "key": shown.key, "believed_by": shown.believed_by},
    }


def reply_facts(attributes: "Attributes") -> dict[str, object]:
    """The attributes an operator looks for, by their registered names; those of the machinery and keys are left out,
    and of what is not known here the octets are shown."""
    from dnsbound.iana import RadiusAttribute
    from dnsbound.protocols.radius_attributes import RULES, Kind, name_of, read_text

    hidden = {
        RadiusAttribute.EAP_MESSAGE,
        RadiusAttribute.MESSAGE_AUTHENTICATOR,
        RadiusAttribute.STATE,
        RadiusAttribute.PROXY_STATE,
        RadiusAttribute.VENDOR_SPECIFIC,
    }
    rules = {int(number): rule for number, rule in RULES.items()}
    facts: dict[str, object] = {}
    for number, value in attributes:
        if number in hidden:
            continue
        kind = rules[number].kind if number in rules else None
        shown: object = value.hex()
        if number == RadiusAttribute.TUNNEL_PRIVATE_GROUP_ID:
            shown = read_text(value[1:] if value[:1] < b"\x20" else value)
        elif number in (RadiusAttribute.TUNNEL_TYPE, RadiusAttribute.TUNNEL_MEDIUM_TYPE):
            shown = int.from_bytes(value[1:], "big")
        elif kind is Kind.TEXT:
            shown = read_text(value)
        elif kind is Kind.INTEGER and len(value) == 4:
            shown = int.from_bytes(value, "big")
        name = name_of(number)
        facts[name] = [*_listed(facts[name]), shown] if name in facts else shown
    return facts


def _listed(fact: object) -> list[object]:
    return fact if isinstance(fact, list) else [fact]


def _tell_one(trial: "Trial", shown: "ServerShown") -> None:
    done = trial.done
    say(trial.verdict.value if not trial.why else f"{trial.verdict.value}: {printable(trial.why)}")
    if done is not None:
        resumed = ", resumed" if done.resumed else ""
        say(f"  {done.tls_version}{resumed}; keys for the access point: {_KEYS[trial.keys_match]}")
    say(f"  {trial.round_trips} round trips, {_ms(trial.seconds)} ms")
    for step in trial.steps:
        again = "" if step.sent == 1 else f", sent {step.sent} times"
        say(f"    {step.said}: {step.answer}, {_ms(step.seconds)} ms{again}")
    if shown.key:
        who = ", ".join(shown.names) or "a bare key"
        say(f"  server: {printable(who)}, key sha256:{shown.key}")
        say(f"  believed by {printable(shown.believed_by)}")
    for name, value in reply_facts(trial.attributes).items():
        for each in _listed(value):
            say(f"  {name}: {printable(str(each))}")


def _ms(seconds: float) -> float:
    return round(seconds * _TO_MS, 1)
