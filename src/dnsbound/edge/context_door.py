"""What stands behind a door's Context: the authenticator, asked on the spot where a thread may wait, and told of the
clients that never came before it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Protocol, TypeAlias, runtime_checkable

from dnsbound.edge.context_socket import SocketTransport
from dnsbound.errors import Reason, Refused, Undecided
from dnsbound.tls.errors import TLSMisuse
from dnsbound.tls.server_shim import Judge
from dnsbound.verify.claim import Claim
from dnsbound.verify.peer import VerifiedPeer

_log: Final = logging.getLogger("dnsbound.context")

TurnedAway: TypeAlias = Callable[[Refused, str], None]
"""Takes a refusal that no claim had been made for, and who was refused."""
Verdict: TypeAlias = VerifiedPeer | Refused | Undecided


class AuthenticatorLike(Protocol):
    """What is needed of a `dnsbound.Authenticator`."""

    @property
    def door(self) -> str: ...

    def authenticate(self, claim: Claim) -> Awaitable[VerifiedPeer]: ...

    def authenticate_blocking(self, claim: Claim) -> VerifiedPeer: ...


@runtime_checkable
class KeepsRecord(Protocol):
    """An authenticator that reports every decision, those of clients without a claim included."""

    def turned_away(self, error: Refused | Undecided, *, source: str = "") -> None: ...


def teller_of(authenticator: AuthenticatorLike) -> TurnedAway | None:
    """Who is told of clients without a claim, if the authenticator keeps a record."""
    return partial(_tell, authenticator) if isinstance(authenticator, KeepsRecord) else None


def _tell(record: KeepsRecord, refusal: Refused, source: str) -> None:
    record.turned_away(refusal, source=source)


def judge_in_place(authenticator: AuthenticatorLike, transport: SocketTransport) -> Judge:
    """Ask within `do_handshake`. A verdict may wait for DNS, which must stall neither a selector nor an event loop."""

    def judge(claim: Claim) -> VerifiedPeer:
        if transport.non_blocking or in_event_loop():
            raise TLSMisuse("a verdict blocks: serve this socket in a thread of its own, or use dnsbound.start_server")
        verdict = verdict_of_blocking(authenticator, claim)
        if isinstance(verdict, Refused | Undecided):
            raise verdict
        return verdict

    return judge


async def verdict_of(authenticator: AuthenticatorLike, claim: Claim) -> Verdict:
    """Ask and wait. Whatever breaks while judging admits nobody, and leaves no connection open behind an exception."""
    try:
        return await authenticator.authenticate(claim)
    except (Refused, Undecided) as verdict:
        return verdict
    except Exception:  # noqa: BLE001 (whatever it is)
        return _failed(claim)


def verdict_of_blocking(authenticator: AuthenticatorLike, claim: Claim) -> Verdict:
    """The same in a thread that may wait."""
    try:
        return authenticator.authenticate_blocking(claim)
    except (Refused, Undecided) as verdict:
        return verdict
    except Exception:  # noqa: BLE001 (whatever it is)
        return _failed(claim)


def _failed(claim: Claim) -> Undecided:
    _log.exception("the authenticator of door %s failed; the client is refused", claim.door)
    return Undecided(Reason.DNS_FAILED, "the authenticator failed")


def in_event_loop() -> bool:
    """This thread runs an event loop, which must not be kept waiting."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
