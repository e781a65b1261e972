"""What every command that serves doors does for whoever asks about them: a board, and the decision log.

A server does without a board where none can be, and says so; a decision log that was asked for and cannot be opened is
an error at the start.
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dnsbound.edge.decision_log import DecisionLog
from dnsbound.edge.door_board import DoorBoard
from dnsbound.errors import Misuse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AsyncExitStack, ExitStack

    from dnsbound.edge.authenticator import Authenticator

_log: Final = logging.getLogger("dnsbound.door_board")


def open_board(
    held: "ExitStack | AsyncExitStack",
    kind: str,
    label: str = "",
    *,
    authenticators: "Callable[[], Iterable[Authenticator]]",
) -> DoorBoard | None:
    """A board of this process until `held` ends; None, and a warning, where there can be none. To be called after
    forking."""
    try:
        board = held.enter_context(DoorBoard.open(kind, label))
    except Misuse as error:
        _log.warning("nobody can ask this server who is in, or have it forget a name: %s", error)
        return None
    board.watch(authenticators)
    return board


def write_decisions(held: "ExitStack | AsyncExitStack", path: Path | None) -> None:
    """Write decisions to this file until `held` ends, if there is one. Misuse where it cannot be opened."""
    if path is not None:
        held.enter_context(held.enter_context(DecisionLog(path)).attached())
