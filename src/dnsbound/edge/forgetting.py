"""Forgetting a name at one door: its evidence dropped, the DNS asked anew, and its live sessions judged by that.

This makes a removed record felt before a cache would have run out. It decides nothing itself, and cuts nobody who may
stay. Resolvers that we ask have caches of their own, which nobody here can empty: while these still tell the record,
sessions are renewed, and the answer says so.
"""

import logging
from typing import TYPE_CHECKING, Final

from dnsbound.edge.board_lines import Forgotten
from dnsbound.edge.session_sweep import Fate, ask_again_blocking
from dnsbound.errors import DnsboundError
from dnsbound.limits import TLSA_RECORDS

if TYPE_CHECKING:
    from dnsbound.dns.answer import Answer
    from dnsbound.edge.authenticator import Authenticator
    from dnsbound.names import ClientName

_log: Final = logging.getLogger("dnsbound.door_board")


def forget_blocking(authenticator: "Authenticator", name: "ClientName") -> Forgotten:
    """In a thread that may wait. Raises nothing for what the DNS says, or fails to say."""
    dropped = authenticator.forget(name)
    answer = _answer(authenticator, name)
    fates = ask_again_blocking(authenticator, name)
    return Forgotten(
        door=authenticator.door,
        permitted=authenticator.permits(name),
        dropped=dropped,
        cut=fates[Fate.CUT],
        renewed=fates[Fate.RENEWED],
        carried=fates[Fate.CARRIED],
        kept=fates[Fate.KEPT],
        state="" if answer is None else f"{answer.security.value} {answer.outcome.value}",
        records=() if answer is None else _texts(answer),
    )


def _answer(authenticator: "Authenticator", name: "ClientName") -> "Answer | None":
    try:
        return authenticator.look_up_blocking(name)
    except DnsboundError:
        _log.exception("asking the DNS about %s failed", name)
        return None


def _texts(answer: "Answer") -> tuple[str, ...]:
    return tuple(record.to_text() for record in answer.records[: TLSA_RECORDS.default])
