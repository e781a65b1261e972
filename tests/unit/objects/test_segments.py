"""The segment chain: cut by size and time, and every break in it seen."""

import json

import pytest

from dnsbound.errors import Malformed, Misuse, Reason, Refused, Undecided
from dnsbound.objects.large.segments import ChainPosition, SegmentChain, SegmentCutter, SegmentRecord

NOW = 1_780_000_000.0
STREAM = "0" * 31 + "1"


def chain_of(*sizes, stream=STREAM, last=True):
    """Records of segments of these sizes, each with octets that stand for its token."""
    position = ChainPosition.start(stream)
    made = []
    for number, size in enumerate(sizes):
        cutter = SegmentCutter(octets=max(size, 1024))
        cutter.update(bytes([number]) * size, now=NOW)
        record = cutter.cut(position, now=NOW + number, last=last and number == len(sizes) - 1)
        token = record.to_wire()
        position = ChainPosition.after(record, token)
        made.append((record, token))
    return made


def accepted(made, **options):
    chain = SegmentChain(**options)
    for record, token in made:
        chain.accept(record, token)
    return chain


def test_a_record_is_read_back():
    for record, token in chain_of(10, 20, 0):
        assert SegmentRecord.from_wire(token) == record


def test_a_whole_chain_is_taken():
    chain = accepted(chain_of(10, 20, 30))
    assert chain.is_ended
    assert chain.position.offset == 60
    chain.finish()


@pytest.mark.parametrize(
    "order",
    [[1], [0, 2], [0, 0], [0, 1, 0], [0, 1, 1], [1, 0], [0, 2, 1], [0, 1, 2, 3, 2], [0, 1, 2, 3, 3]],
    ids=str,
)
def test_bg_14_segments_that_are_missing_moved_or_shown_again_break_the_chain(order):
    made = chain_of(10, 10, 10, 10)
    with pytest.raises(Refused) as caught:
        accepted([made[index] for index in order])
    assert caught.value.reason is Reason.STREAM_BROKEN


def test_bg_14_a_segment_of_another_stream_breaks_the_chain():
    ours, others = chain_of(10, 10, 10), chain_of(10, 10, 10, stream="f" * 32)
    for made, options in (([ours[0], others[1]], {}), ([others[0]], {"stream": STREAM})):
        with pytest.raises(Refused) as caught:
            accepted(made, **options)
        assert caught.value.reason is Reason.STREAM_BROKEN
    accepted(ours, stream=STREAM)


def test_a_record_that_follows_another_than_the_one_before_it_breaks_the_chain():
    """The same signer made two streams out of one: each is right by itself, and no mixture is."""
    ours, fork = chain_of(10, 10, 10), chain_of(11, 9, 10)
    with pytest.raises(Refused) as caught:
        accepted([ours[0], ours[1], fork[2]])
    assert caught.value.reason is Reason.STREAM_BROKEN
    token = ours[1][1]
    moved = SegmentRecord.from_wire(json.dumps(json.loads(token) | {"offset": 11}).encode())
    with pytest.raises(Refused) as caught:
        accepted([ours[0], (moved, token)])
    assert caught.value.reason is Reason.STREAM_BROKEN


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_bg_10_a_stream_that_is_cut_off_is_undecided(kept):
    chain = accepted(chain_of(10, 10, 10)[:kept])
    with pytest.raises(Undecided) as caught:
        chain.finish()
    assert caught.value.reason is Reason.INCOMPLETE


@pytest.mark.parametrize(
    "members",
    [
        {"stream": "0" * 31},
        {"stream": 5},
        {"seq": -1},
        {"seq": 0},
        {"prev": None},
        {"prev": "0" * 63},
        {"size": 2**40},
        {"size": 0},
        {"offset": -1},
        {"last": False},
        {"last": 1},
        {"at": "now"},
        {"sha256": None},
        {"nonce": ""},
    ],
    ids=json.dumps,
)
def test_a_record_of_another_form_is_malformed(members):
    token = chain_of(10, 10, last=False)[1][1]
    left = {key: value for key, value in (json.loads(token) | members).items() if value is not None}
    with pytest.raises(Malformed):
        SegmentRecord.from_wire(json.dumps(left).encode())


def test_a_segment_is_due_when_it_is_full_or_has_waited():
    cutter = SegmentCutter(octets=1024, seconds=2)
    assert cutter.due_at() is None
    assert not cutter.is_due(NOW + 100)
    cutter.update(b"x", now=NOW)
    assert cutter.due_at() == NOW + 2
    assert not cutter.is_due(NOW + 1.9)
    assert cutter.is_due(NOW + 2)
    cutter.cut(ChainPosition.start(STREAM), now=NOW)
    assert cutter.is_empty
    cutter.update(b"x" * 1024, now=NOW)
    assert cutter.is_due(NOW)
    with pytest.raises(Misuse):
        cutter.update(b"x", now=NOW)


def test_only_the_last_segment_may_be_empty():
    with pytest.raises(Malformed):
        SegmentCutter().cut(ChainPosition.start(STREAM), now=NOW)
    assert SegmentCutter().cut(ChainPosition.start(STREAM), now=NOW, last=True).size == 0


def test_segments_may_have_no_more_octets_than_a_verifier_holds():
    with pytest.raises(Misuse):
        SegmentCutter(octets=2**40)
