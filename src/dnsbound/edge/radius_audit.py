"""What became of each authentication at a RADIUS server: one event, which the audit log, counters and metrics read.

The verdict itself, with the record that matched, is the `Decision` of the network's door; this event says what RADIUS
and EAP had to do with it. Keys and secrets are never in it.
"""

import json
import logging
from enum import StrEnum
from typing import Any, Final

from dnsbound.errors import DnsboundError, Refused, Undecided
from dnsbound.hot_value import hot_value
from dnsbound.times import Moment, Seconds, iso
from dnsbound.verify.decision import DETAIL_CHARACTERS

AUDIT: Final = "dnsbound.radius"
"""Name of the logger."""

_log: Final = logging.getLogger(AUDIT)
_to_text: Final = json.JSONEncoder(separators=(",", ":")).encode


class AccessVerdict(StrEnum):
    """How an authentication ended."""

    ADMITTED = "admitted"
    REFUSED = "refused"
    """Decided: no."""
    UNDECIDED = "undecided"
    """It could not be found out; on the wire it looks like a refusal."""
    FAILED = "failed"
    """EAP or TLS broke off before there was anything to decide."""
    ABANDONED = "abandoned"
    """The client stopped in the middle."""


NO_NETWORK: Final = "no-network"
"""Reason of a refusal where no network is for the request."""
GRANTS_UNUSABLE: Final = "grants-unusable"
"""Reason of a refusal whose grants cannot be said in RADIUS."""


@hot_value
class AccessEvent:
    """One authentication. reason: a `Reason`'s word, or one of this module's. name: verified, empty otherwise.
    identity: the hint, which proves nothing. reply: names of the attributes of an Access-Accept."""

    at: Moment
    verdict: AccessVerdict
    network: str
    client: str
    reason: str = ""
    detail: str = ""
    name: str = ""
    identity: str = ""
    nas: str = ""
    ssid: str = ""
    calling_station: str = ""
    tls_version: str = ""
    resumed: bool = False
    round_trips: int = 0
    seconds: Seconds = 0.0
    session_timeout: int = 0
    reply: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Only what is set, in plain types."""
        value: dict[str, Any] = {
            "at": iso(self.at),
            "verdict": str(self.verdict),
            "reason": self.reason,
            "name": self.name,
            "network": self.network,
            "client": self.client,
            "nas": self.nas,
            "ssid": self.ssid,
            "calling_station": self.calling_station,
            "identity": self.identity,
            "tls": self.tls_version,
            "detail": self.detail[:DETAIL_CHARACTERS],
            "session_timeout": self.session_timeout,
            "reply": list(self.reply),
        }
        shown = {key: entry for key, entry in value.items() if entry}
        if self.tls_version:
            shown["resumed"] = self.resumed
        shown["round_trips"] = self.round_trips
        shown["ms"] = round(self.seconds * 1000, 3)
        return shown


def write_audit(event: AccessEvent) -> None:
    """One line of JSON."""
    if _log.isEnabledFor(logging.INFO):
        shown = event.to_json()
        _log.info(_to_text(shown), extra={"access": shown})


def verdict_of(error: DnsboundError) -> tuple[AccessVerdict, str]:
    """How an authentication that ended with this ended, and the word for why."""
    if isinstance(error, Refused):
        return AccessVerdict.REFUSED, error.reason.value
    if isinstance(error, Undecided):
        return AccessVerdict.UNDECIDED, error.reason.value
    return AccessVerdict.FAILED, ""
