"""Requests that another worker answers: within one loop, where each case can be made, and between real processes."""

import asyncio
import logging
import os
import signal

import pytest

from dnsbound.edge.worker_exchange import WorkerExchange, WorkerInboxes
from dnsbound.errors import Misuse
from dnsbound.limits import EXCHANGE_OCTETS, EXCHANGE_WAITING


async def echoes(request):
    return b"echo " + request


async def silent(request):
    return None


async def comes(holds):
    """Until what the loop is about to do is done; the whole test has a bound."""
    while not holds():  # noqa: ASYNC110 (counters say it, and nobody sets an event)
        await asyncio.sleep(0)


async def acquainted():
    """Each has heard that the other begins, which lies in its inbox."""
    for _ in range(3):
        await asyncio.sleep(0)


async def together(test, *, answers=(echoes, echoes), **options):
    """Two exchanges in one loop. test(first, second)."""
    inboxes = WorkerInboxes(2)
    try:
        with (
            WorkerExchange(inboxes, 0, answers[0], **options) as first,
            WorkerExchange(inboxes, 1, answers[1], **options) as second,
        ):
            await acquainted()
            await asyncio.wait_for(test(first, second), 30)
    finally:
        inboxes.close()


def test_answers_come_back_to_who_asked():
    async def test(first, second):
        many = [first.ask(1, b"%d" % number) for number in range(20)] + [second.ask(0, b"back")]
        answers = await asyncio.gather(*many)
        assert answers == [*(b"echo %d" % number for number in range(20)), b"echo back"]
        assert (first.counts.asked, first.counts.answered) == (20, 1)
        assert (second.counts.asked, second.counts.answered) == (1, 20)

    asyncio.run(together(test))


def test_an_answer_may_be_there_at_once(caplog):
    def at_once(request):
        if request == b"fail":
            raise ValueError(request)
        return None if request == b"silence" else request

    async def test(first, second):
        assert await first.ask(1, b"x") == b"x"
        assert await first.ask(1, b"silence") is None
        assert await first.ask(1, b"fail") is None
        assert (second.counts.answered, first.counts.unanswered) == (3, 0)

    with caplog.at_level(logging.ERROR, "dnsbound.workers"):
        asyncio.run(together(test, answers=(at_once, at_once), seconds=300))
    assert [record.message for record in caplog.records] == ["a request of worker 0 failed"]


def test_more_than_is_read_at_a_time_comes_through():
    async def test(first, second):
        answers = await asyncio.gather(*(first.ask(1, b"%d" % number) for number in range(200)))
        assert answers == [b"echo %d" % number for number in range(200)]

    asyncio.run(together(test))


def test_no_answer_and_a_failure_are_told_at_once(caplog):
    async def fails(request):
        raise ValueError(request)

    async def test(first, second):
        assert await first.ask(1, b"x") is None
        assert await second.ask(0, b"y") is None
        assert (first.counts.unanswered, second.counts.unanswered) == (0, 0)

    with caplog.at_level(logging.ERROR, "dnsbound.workers"):
        asyncio.run(together(test, answers=(fails, silent), seconds=300))
    assert [record.message for record in caplog.records] == ["a request of worker 1 failed"]


@pytest.mark.parametrize("octets", [0, 1, EXCHANGE_OCTETS.default])
def test_requests_of_every_length(octets):
    async def same(request):
        return request

    async def test(first, second):
        assert await first.ask(1, b"x" * octets) == b"x" * octets

    asyncio.run(together(test, answers=(same, same)))


def test_what_is_too_long_is_not_cut(caplog):
    async def too_long(request):
        return bytes(EXCHANGE_OCTETS.default + 1)

    async def test(first, second):
        with pytest.raises(Misuse):
            await first.ask(1, bytes(EXCHANGE_OCTETS.default + 1))
        assert await first.ask(1, b"x") is None

    with caplog.at_level(logging.ERROR, "dnsbound.workers"):
        asyncio.run(together(test, answers=(echoes, too_long)))
    assert "too long for worker 0" in caplog.text


def test_only_another_worker_can_be_asked():
    async def test(first, second):
        for wrong in (0, 2, -1, 255):
            with pytest.raises(Misuse):
                await first.ask(wrong, b"x")

    asyncio.run(together(test))


@pytest.mark.parametrize("busy", ["asker", "answerer"])
def test_requests_at_once_are_bounded_at_both_ends(busy):
    most = EXCHANGE_WAITING.minimum
    least = {"waiting": most}

    async def test():
        go = asyncio.Event()

        async def waits(request):
            await go.wait()
            return request

        inboxes = WorkerInboxes(2)
        with (
            WorkerExchange(inboxes, 0, echoes, **(least if busy == "asker" else {"seconds": 1})) as first,
            WorkerExchange(inboxes, 1, waits, **(least if busy == "answerer" else {})) as second,
        ):
            await acquainted()
            tasks = [asyncio.create_task(first.ask(1, b"x")) for _ in range(most + 5)]
            await comes(lambda: (first if busy == "asker" else second).counts.too_many == 5)
            go.set()
            assert await asyncio.gather(*tasks) == [b"x"] * most + [None] * 5
            assert await first.ask(1, b"again") == b"again"
        inboxes.close()

    asyncio.run(asyncio.wait_for(test(), 30))


def test_a_full_inbox_loses_requests_and_blocks_nobody():
    async def alone():
        inboxes = WorkerInboxes(2)
        with WorkerExchange(inboxes, 0, echoes) as first:  # nobody reads what is for worker 1
            tasks = []
            while not first.counts.inbox_full:
                tasks.append(asyncio.create_task(first.ask(1, bytes(EXCHANGE_OCTETS.default))))
                await asyncio.sleep(0)
                assert len(tasks) < EXCHANGE_WAITING.default
            assert await tasks[-1] is None
            assert first.counts.asked == len(tasks) - 1
        assert [await task for task in tasks] == [None] * len(tasks)
        inboxes.close()

    asyncio.run(asyncio.wait_for(alone(), 30))


def test_a_worker_that_is_gone_is_waited_for_no_longer_than_told():
    async def alone():
        inboxes = WorkerInboxes(2)
        with WorkerExchange(inboxes, 0, echoes, seconds=1) as first:
            assert await asyncio.gather(first.ask(1, b"x"), first.ask(1, b"y")) == [None, None]
            assert first.counts.unanswered == 2
            assert await first.ask(1, b"z") is None
            assert first.counts.unanswered == 3
        inboxes.close()

    asyncio.run(asyncio.wait_for(alone(), 30))


def test_who_takes_a_dead_ones_place_reads_none_of_its_letters():
    async def test():
        inboxes = WorkerInboxes(2)
        with WorkerExchange(inboxes, 0, echoes) as first:
            old = asyncio.create_task(first.ask(1, b"for the dead"))
            await comes(lambda: first.counts.asked)
            assert not old.done()
            with WorkerExchange(inboxes, 1, echoes) as second:
                await acquainted()
                assert await first.ask(1, b"for the new") == b"echo for the new"
                assert second.counts.answered == 1
                assert await old is None, "nobody waits for the dead once another has its place"
                assert first.counts.unanswered == 1
        inboxes.close()

    asyncio.run(asyncio.wait_for(test(), 30))


def test_an_answer_for_a_dead_worker_is_not_taken_by_who_has_its_place():
    async def test():
        inboxes = WorkerInboxes(2)
        go = asyncio.Event()

        async def waits(request):
            await go.wait()
            return request

        with WorkerExchange(inboxes, 1, waits) as answers:
            with WorkerExchange(inboxes, 0, echoes) as dying:
                task = asyncio.create_task(dying.ask(1, b"of the dead"))
                await comes(lambda: answers.counts.answered)
            assert await task is None
            with WorkerExchange(inboxes, 0, echoes) as new:
                asks = asyncio.create_task(new.ask(1, b"of the new"))
                await comes(lambda: answers.counts.answered == 2)
                go.set()
                assert await asks == b"of the new"
                assert new.counts.unread == 1
        inboxes.close()

    asyncio.run(asyncio.wait_for(test(), 30))


def test_whoever_asks_may_be_cancelled():
    async def test(first, second):
        task = asyncio.create_task(first.ask(1, b"x"))
        await comes(lambda: first.counts.asked)
        task.cancel()
        await asyncio.wait([task])
        assert await first.ask(1, b"y") == b"echo y"

    asyncio.run(together(test))


# --- between processes


def test_processes_answer_each_other(service):
    running = service(workers=3).serving()
    for asker in range(3):
        for other in {0, 1, 2} - {asker}:
            assert running.ask(asker, f"ask {other} hello", seconds=20) == f"{other} {running.who(other)[1]} hello"
    assert running.ask(0, "ask 1 silence", seconds=20) == "none"
    assert running.ask(0, "ask 1 fail", seconds=20) == "none"
    assert running.end() == 0


def test_a_worker_that_dies_over_a_request_costs_that_request_alone(service):
    running = service(workers=2, exchange=1).serving()
    _, pid, _ = running.who(1)
    assert running.ask(0, "ask 1 die", seconds=20) == "none"
    running.wait(lambda: "serves again" in running.logged())
    answer = running.ask(0, "ask 1 hello", seconds=20)
    assert answer == f"1 {running.who(1)[1]} hello"
    assert running.who(1)[1] != pid
    assert running.end() == 0


def test_a_stopped_worker_blocks_nobody(service):
    running = service(workers=2, exchange=1).serving()
    _, pid, _ = running.who(1)
    os.kill(pid, signal.SIGSTOP)
    try:
        assert running.ask(0, "ask 1 hello", seconds=20) == "none"
        assert running.who(0)[0] == 0
    finally:
        os.kill(pid, signal.SIGCONT)
    assert running.ask(0, "ask 1 hello", seconds=20) == f"1 {pid} hello"
    assert running.end() == 0
