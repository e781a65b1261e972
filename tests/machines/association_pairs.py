"""Associations joined in memory: a client, a server's table, and the network between them."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dnsbound.edge.association_table import AssociationTable, DatagramLimits, Served
from dnsbound.edge.context import Context
from dnsbound.edge.context_datagram import Datagrams
from dnsbound.edge.cookie_keys import CookieKeys
from dnsbound.edge.datagram_acceptor import DatagramAcceptor
from dnsbound.edge.datagram_client import client_association
from dnsbound.errors import Refused, Undecided
from dnsbound.tls.association import Association, Phase
from dnsbound.verify.claim import Claim
from dnsbound.verify.peer import VerifiedPeer
from machines.native_pairs import SERVER
from machines.shim_pairs import Doorkeeper, client, credential, door, evidence

QUICK = Datagrams(retransmit_first=100, retransmit_longest=200)
HERE = ("192.0.2.54", 4711)


def datagram_door(keeper: Doorkeeper | None = None, *, datagram: Datagrams = QUICK, **options: Any) -> Context:
    return door(keeper, datagram=datagram, **options)


def datagram_client(*, datagram: Datagrams = QUICK, **options: Any) -> Context:
    """One that says its name to SERVER."""
    own = options.pop("own", None) or credential()
    return client(own, datagram=datagram, clear_name_to=[SERVER], **options)


@dataclass
class Keeper:
    """A table's host that remembers: what was sent, who is to be judged, who was opened, and who ended."""

    judge_at_once: Callable[[Claim], VerifiedPeer | Refused | Undecided] | None = evidence
    sent: list[tuple[bytes, Any]] = field(default_factory=list)
    judging: list[tuple[Served, Claim]] = field(default_factory=list)
    open: list[Served] = field(default_factory=list)
    gone: list[Served] = field(default_factory=list)
    arrivals: int = 0
    table: AssociationTable = field(init=False)
    now: float = 1000.0

    def send(self, datagram: bytes, address: Any) -> None:
        self.sent.append((datagram, address))

    def judge(self, served: Served, claim: Claim) -> None:
        self.judging.append((served, claim))
        if self.judge_at_once is not None:
            self.table.settle(served, self.judge_at_once(claim), self.now)

    def opened(self, served: Served, claim: Claim | None) -> None:
        self.open.append(served)

    def arrived(self, served: Served) -> None:
        self.arrivals += 1

    def ended(self, served: Served) -> None:
        self.gone.append(served)

    def taken(self, address: Any = HERE) -> list[bytes]:
        """What was sent to an address since the last look."""
        mine = [datagram for datagram, to in self.sent if to == address]
        self.sent = [(datagram, to) for datagram, to in self.sent if to != address]
        return mine


def table(
    context: Context | None = None,
    *,
    judge: Callable[[Claim], VerifiedPeer | Refused | Undecided] | None = evidence,
    bounds: DatagramLimits | None = None,
) -> Keeper:
    """A server's table and its host; without `judge` the test settles."""
    context = context or datagram_door()
    keeper = Keeper(judge_at_once=judge)
    keeper.table = AssociationTable(
        DatagramAcceptor(context), context.handshake_slots, keeper, bounds=bounds, keys=CookieKeys()
    )
    return keeper


def begin(context: Context | None = None) -> Association:
    """A client's association with its first flight on the way."""
    association = client_association(context or datagram_client(), SERVER)
    association.begin()
    return association


def carry(near: Association, far: Keeper, address: Any = HERE, *, rounds: int = 8) -> None:
    """Deliver everything both ways until nobody has anything to say."""
    for _ in range(rounds):
        datagrams = near.take()
        for datagram in datagrams:
            far.table.receive(datagram, address, far.now)
        answers = far.taken(address)
        for answer in answers:
            near.receive(answer)
        if not datagrams and not answers:
            return


def let_time_pass(association: Association) -> None:
    """Wait for the client's timer; the engine's clock is the system's."""
    time.sleep(association.timeout() or 0)
    association.handle_timeout()


def met(far: Keeper | None = None, address: Any = HERE, context: Context | None = None) -> tuple[Association, Served]:
    """An open association and the server's end of it."""
    far = far or table()
    near = begin(context)
    carry(near, far, address)
    assert near.phase is Phase.OPEN
    return near, far.open[-1]
