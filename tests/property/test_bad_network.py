"""DTLS over networks that lose, double, reorder and corrupt datagrams, drawn from seeds."""

import random
import time
from dataclasses import dataclass, field

import pytest

from dnsbound.edge.context_datagram import Datagrams
from dnsbound.errors import DnsboundError, Reason, Refused
from dnsbound.tls.association import Association, Phase
from machines.association_pairs import HERE, Keeper, begin, datagram_client, datagram_door, table

NERVOUS = Datagrams(octets=400, retransmit_first=30, retransmit_longest=60)
"""Small datagrams, so that flights have several, and a timer that leaves no test waiting."""
SECONDS = 12.0
MESSAGES = [b"reading %d" % number for number in range(40)]


@dataclass
class BadNetwork:
    """Both directions between one client and a server's table."""

    seed: int
    lost: float
    doubled: float
    late: float
    corrupted: float = 0.0
    waiting: list[tuple[str, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    def accept(self, to: str, datagrams: list[bytes]) -> None:
        for datagram in datagrams:
            if self.chance.random() < self.lost:
                continue
            for _ in range(2 if self.chance.random() < self.doubled else 1):
                self.waiting.append((to, self.maybe_corrupted(datagram)))

    def maybe_corrupted(self, datagram: bytes) -> bytes:
        if self.chance.random() >= self.corrupted:
            return datagram
        octets = bytearray(datagram)
        for _ in range(self.chance.randrange(1, 4)):
            octets[self.chance.randrange(len(octets))] ^= 1 << self.chance.randrange(8)
        return bytes(octets)

    def arrivals(self) -> list[tuple[str, bytes]]:
        """What arrives now: some of it waits for the next time, and the rest is in no order."""
        late = [entry for entry in self.waiting if self.chance.random() < self.late]
        now = [entry for entry in self.waiting if entry not in late]
        self.chance.shuffle(now)
        self.waiting = late
        return now

    def step(self, near: Association, far: Keeper) -> None:
        far.now = time.monotonic()
        self.accept("far", near.take())
        self.accept("near", far.taken())
        for to, datagram in self.arrivals():
            if to == "near":
                near.receive(datagram)
            else:
                far.table.receive(datagram, HERE, far.now)
        wait = near.timeout()
        if wait is not None and wait <= 0:
            near.handle_timeout()
        far.table.run_due(far.now)
        if not self.waiting:
            time.sleep(0.002)


def shake(network: BadNetwork, near: Association, far: Keeper) -> None:
    ends = time.monotonic() + SECONDS
    while near.phase is Phase.HANDSHAKE and time.monotonic() < ends:
        network.step(near, far)


def ends(*, judge: object = "evidence") -> tuple[Association, Keeper]:
    context = datagram_door(datagram=NERVOUS)
    far = table(context) if judge == "evidence" else table(context, judge=judge)  # type: ignore[arg-type]
    far.now = time.monotonic()
    return begin(datagram_client(datagram=NERVOUS)), far


@pytest.mark.parametrize("seed", range(12))
def test_a_bad_network_delays_and_changes_nothing(seed: int) -> None:
    near, far = ends()
    network = BadNetwork(seed, lost=0.25, doubled=0.2, late=0.3)
    shake(network, near, far)
    assert near.phase is Phase.OPEN, near.error
    (served,) = far.open
    got: list[bytes] = []
    for message in MESSAGES:
        near.send(message)
        network.step(near, far)
        while (arrived := served.association.next_message()) is not None:
            got.append(arrived)
    for _ in range(50):
        network.step(near, far)
        while (arrived := served.association.next_message()) is not None:
            got.append(arrived)
    assert set(got) <= set(MESSAGES)
    assert len(got) == len(set(got)), "a doubled datagram is one message"
    assert len(got) > len(MESSAGES) // 3
    assert len(far.judging) == 1, "however often flights are repeated, one claim is judged"


@pytest.mark.parametrize("seed", range(6))
def test_a_refusal_arrives_through_a_bad_network(seed: int) -> None:
    near, far = ends(judge=lambda _claim: Refused(Reason.NO_TLSA))
    shake(BadNetwork(seed, lost=0.25, doubled=0.2, late=0.3), near, far)
    assert near.phase is Phase.CLOSED
    assert near.error is not None
    assert far.open == []


@pytest.mark.parametrize("seed", range(16))
def test_corruption_ends_a_handshake_at_worst(seed: int) -> None:
    """What is corrupted before the seal may end the handshake, with an error of ours; behind it, it is a loss."""
    near, far = ends()
    network = BadNetwork(seed, lost=0.05, doubled=0.1, late=0.1, corrupted=0.08)
    shake(network, near, far)
    if near.phase is not Phase.OPEN:
        assert near.error is None or isinstance(near.error, DnsboundError)
        return
    served = far.open[-1]
    network.corrupted = 0.5
    for message in MESSAGES:
        near.send(message)
        network.step(near, far)
    for _ in range(20):
        network.step(near, far)
    assert (near.phase, served.association.phase) == (Phase.OPEN, Phase.OPEN)
    got = []
    while (arrived := served.association.next_message()) is not None:
        got.append(arrived)
    assert set(got) <= set(MESSAGES)
    assert len(got) == len(set(got)) < len(MESSAGES)
