"""Live sessions that try to outlive their record: by a name server that never answers, or by an event loop that ends.

The drivers of `dnsbound.edge.session_sweep`, asyncio and threads, with a resolver that keeps some names waiting.
"""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import dns.name
import dns.rdatatype
import pytest

from dnsbound import AccessList, Authenticator, Credential, Reason, Refused, Undecided
from dnsbound.dns.answer import Answer
from dnsbound.edge.current_peer import ConnectionPeer
from dnsbound.edge.session_sweep import RECHECKS_AT_ONCE, SweepThread, settle, sweep_blocking, sweep_for
from dnsbound.names import ClientName
from dnsbound.verify.claim import Claim, NameSource, Proved
from dnsbound.verify.peer import VerifiedPeer
from dnsbound.verify.sessions import Session
from unit.claims import DOOR, answer

PATIENCE = 10.0
CREDENTIAL = Credential.generate("car54._device.cars.example", now=time.time())
ACCESS = AccessList.allowing(DOOR, ["*._device.cars.example"])


class Estate:
    """A resolver: names that begin with `slow` are never answered, `gone` have no record, the others have theirs."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.over = threading.Event()

    def cached(self, name: str, rdtype: dns.rdatatype.RdataType) -> Answer | None:
        return None

    async def lookup(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, **_: object) -> Answer:
        if self._note(name).startswith("slow"):
            await asyncio.Event().wait()
        return self._answer(name)

    def lookup_blocking(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, **_: object) -> Answer:
        if self._note(name).startswith("slow"):
            assert self.over.wait(PATIENCE)
        return self._answer(name)

    def _note(self, name: dns.name.Name) -> str:
        text = name.to_text(omit_final_dot=True)
        self.asked.append(text)
        return text

    def _answer(self, name: dns.name.Name) -> Answer:
        text, now = name.to_text(omit_final_dot=True), time.time()
        records = () if text.startswith("gone") else (CREDENTIAL.tlsa(),)
        return answer(text, *records, validated_at=now, ttl=60.0, earliest_expiry=None)


class Connection:
    """A session's handle: notes what becomes of it."""

    def __init__(self) -> None:
        self.reason: Reason | None = None

    def renewed(self, peer: VerifiedPeer) -> None:
        pass

    def cut(self, reason: Refused | Undecided) -> None:
        self.reason = reason.reason


def claim(label: str) -> Claim:
    return Claim(
        name=ClientName.parse(f"{label}._device.cars.example"),
        name_source=NameSource.EXTENSION,
        presented=CREDENTIAL.presented,
        possession=Proved("test"),
        door=DOOR,
    )


def evidence(authenticator: Authenticator, made: Claim, *, lasts: float) -> VerifiedPeer:
    """As if the name had been good a moment ago."""
    now = time.time()
    need = authenticator._verifier.begin(made, now=now, charged=False)
    record = answer(str(made.name), CREDENTIAL.tlsa(), validated_at=now, ttl=lasts, earliest_expiry=None)
    return need.answer(record, now=now)


@contextmanager
def door() -> Iterator[tuple[Authenticator, Estate]]:
    estate = Estate()
    try:
        yield Authenticator(ACCESS, estate, door=DOOR, deadline=0.5), estate
    finally:
        estate.over.set()


def eventually(condition: object) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_name_server_that_never_answers_keeps_nobody_in() -> None:
    """Its names take every place of the sweep, so that questions about others never get their turn."""
    with door() as (authenticator, estate):

        async def main() -> float:
            sweep = sweep_for(asyncio.get_running_loop(), authenticator)
            connections = []
            for number in range(RECHECKS_AT_ONCE + 10):
                made = claim(f"slow{number}" if number < RECHECKS_AT_ONCE else f"gone{number}")
                connections.append(Connection())
                sweep.register(evidence(authenticator, made, lasts=1.0), made, connections[-1])
            began = time.monotonic()
            while any(connection.reason is None for connection in connections):  # noqa: ASYNC110 (as below)
                await asyncio.sleep(0.01)
            assert {connection.reason for connection in connections} == {Reason.DNS_FAILED}
            return time.monotonic() - began

        assert asyncio.run(asyncio.wait_for(main(), PATIENCE)) < 5
        assert len(authenticator.sessions) == 0
        assert len(estate.asked) == RECHECKS_AT_ONCE


def test_in_threads_a_slow_name_holds_up_no_other() -> None:
    with door() as (authenticator, _):
        connections = {}
        for label in ("slow1", "slow2", "slow3", "gone"):
            made, connections[label] = claim(label), Connection()
            past = time.time() - 100
            authenticator.sessions.register(
                evidence(authenticator, made, lasts=1.0), made, connections[label], now=past
            )
        looking = threading.Thread(target=sweep_blocking, args=(authenticator,), daemon=True)
        looking.start()
        eventually(lambda: connections["gone"].reason is Reason.NO_TLSA)
        assert looking.is_alive()
        authenticator._resolver.over.set()  # type: ignore[attr-defined]
        looking.join(PATIENCE)
        assert [each.reason for each in connections.values()] == [None, None, None, Reason.NO_TLSA]


def test_a_loop_that_ends_while_it_asks_leaves_the_question_to_others() -> None:
    """One authenticator serves two loops; each asks about the sessions of both."""
    with door() as (authenticator, estate):
        made, connection = claim("slow"), Connection()
        session = authenticator.sessions.register(
            evidence(authenticator, made, lasts=5), made, connection, now=time.time() - 100
        )

        async def first() -> None:
            sweep_for(asyncio.get_running_loop(), authenticator)._look()
            while not estate.asked:  # noqa: ASYNC110 (the sweep knows nothing of this test)
                await asyncio.sleep(0.01)

        asyncio.run(asyncio.wait_for(first(), PATIENCE))
        assert connection.reason is None
        assert authenticator.sessions.due(now=time.time()) == [session]


class Broken(Connection):
    """A connection whose end fails, such as one of an event loop that has just been closed."""

    def cut(self, reason: Refused | Undecided) -> None:
        super().cut(reason)
        raise RuntimeError("Event loop is closed")


def test_a_connection_that_cannot_be_cut_keeps_no_other_in(caplog: pytest.LogCaptureFixture) -> None:
    """Neither those that wait with it, nor those whose time comes later: the sweep goes on."""
    with door() as (authenticator, _):

        async def main() -> None:
            sweep = sweep_for(asyncio.get_running_loop(), authenticator)
            connections = []
            for number, label in enumerate(("slow1", "slow2", "gone1", "gone2", "gone3")):
                made = claim(label)
                connections.append(Broken() if number % 2 == 0 else Connection())
                lasts = 2.0 if label == "gone3" else 0.5
                sweep.register(evidence(authenticator, made, lasts=lasts), made, connections[-1])
            while any(connection.reason is None for connection in connections):  # noqa: ASYNC110 (as above)
                await asyncio.sleep(0.01)
            reasons = [connection.reason for connection in connections]
            assert reasons == [Reason.DNS_FAILED] * 2 + [Reason.NO_TLSA] * 3

        asyncio.run(asyncio.wait_for(main(), PATIENCE))
        assert len(authenticator.sessions) == 0
    assert sum("could not be told" in record.message for record in caplog.records) == 3


def test_a_connection_that_cannot_be_cut_keeps_no_other_in_where_threads_serve() -> None:
    with door() as (authenticator, _):
        connections = [Broken(), Connection()]
        for number, connection in enumerate(connections):
            made = claim(f"gone{number}")
            authenticator.sessions.register(
                evidence(authenticator, made, lasts=1.0), made, connection, now=time.time() - 100
            )
        sweep_blocking(authenticator)
        assert [connection.reason for connection in connections] == [Reason.NO_TLSA] * 2
        assert len(authenticator.sessions) == 0


def test_evidence_about_another_name_cuts() -> None:
    with door() as (authenticator, _):
        made, other, connection = claim("good1"), claim("good2"), Connection()
        now = time.time()
        session = authenticator.sessions.register(evidence(authenticator, made, lasts=60.0), made, connection, now=now)
        settle(authenticator, session, evidence(authenticator, other, lasts=60.0))
        assert connection.reason is Reason.INDETERMINATE
        assert len(authenticator.sessions) == 0


@pytest.mark.parametrize("outcome", [Refused(Reason.NO_TLSA), Undecided(Reason.BOGUS), None])
def test_an_answer_about_who_a_connection_was_does_not_cut_who_it_is(outcome: Refused | Undecided | None) -> None:
    """Its client said another name late, while the DNS was asked about the one before."""
    with door() as (authenticator, _):
        before, after, connection = claim("good1"), claim("good2"), Connection()
        now = time.time()
        holder = ConnectionPeer(evidence(authenticator, before, lasts=1.0))

        def stand_for(made: Claim) -> Session:
            peer = evidence(authenticator, made, lasts=60.0)
            session = authenticator.sessions.register(peer, made, connection, now=now)
            holder.keep_account(partial(authenticator.sessions.remove, session))
            return session

        session = stand_for(before)
        assert session in authenticator.sessions.due(now=now + 55)
        latest = stand_for(after)
        settle(authenticator, session, outcome or evidence(authenticator, before, lasts=60.0))
        assert connection.reason is None
        assert list(authenticator.sessions) == [latest]


def test_a_machine_without_threads_ends_no_server_and_no_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look tries anew; what is overdue meanwhile is cut by the accepting thread itself."""

    class NoThread(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    with door() as (authenticator, estate):
        connections = [Connection(), Connection()]
        for number, connection in enumerate(connections):
            made = claim(f"gone{number}")
            authenticator.sessions.register(
                evidence(authenticator, made, lasts=1.0), made, connection, now=time.time() - 100
            )
        sweep = SweepThread(authenticator)
        with monkeypatch.context() as patch:
            patch.setattr("dnsbound.edge.session_sweep.Thread", NoThread)
            sweep.look()
            sweep.look()
            assert estate.asked == []
        sweep.look()
        eventually(lambda: all(connection.reason is Reason.NO_TLSA for connection in connections))


def test_helpers_that_cannot_start_leave_the_work_to_the_one_that_did(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoThread(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr("dnsbound.edge.session_sweep.Thread", NoThread)
    with door() as (authenticator, _):
        connections = [Connection() for _ in range(5)]
        for number, connection in enumerate(connections):
            made = claim(f"gone{number}")
            authenticator.sessions.register(
                evidence(authenticator, made, lasts=1.0), made, connection, now=time.time() - 100
            )
        sweep_blocking(authenticator)
        assert {connection.reason for connection in connections} == {Reason.NO_TLSA}
