"""TLS flags: the octets of the drafts, and which flag may stand in which message."""

from itertools import product

import pytest

from dnsbound.errors import Malformed, Misuse, PeerError
from dnsbound.iana import RESUMPTION_ACROSS_NAMES
from dnsbound.tls.flags import (
    ANSWERS,
    ANY_FLAG,
    DEFAULT_SIGNAL,
    KNOWN_FLAGS,
    MAX_FLAG,
    RECOGNISED_SIGNALS,
    REQUEST_FLAG,
    Flags,
    Message,
    RequestSignal,
    Rule,
    check_flags,
)

EXAMPLES = {
    (0,): "0101",
    (1, 5): "0122",
    (3, 5, 23): "03280080",
    (8,): "020001",
    (80,): "0b0000000000000000000001",
}
UNKNOWN = 900


@pytest.mark.parametrize("numbers", EXAMPLES)
def test_examples_of_the_drafts(numbers: tuple[int, ...]) -> None:
    wire = bytes.fromhex(EXAMPLES[numbers])
    assert Flags.of(numbers).to_wire() == wire
    assert Flags.from_wire(wire) == Flags.of(numbers)


def test_the_prototype_s_capture() -> None:
    """Extension type, length and data as prototypes send them."""
    capture = bytes.fromhex("fe01000c0b0000000000000000000001")
    signal = RECOGNISED_SIGNALS[1]
    data = signal.to_wire()
    assert signal.extension_type.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data == capture


@pytest.mark.parametrize(
    "wire",
    ["", "00", "0100", "020000", "020100", "03280000", "0201", "010101", "01", "ff" + "01" * 254, "0180ff"],
    ids=lambda wire: wire[:8] or "nothing",
)
def test_fl_01_forms_that_are_none(wire: str) -> None:
    with pytest.raises(Malformed):
        Flags.from_wire(bytes.fromhex(wire))


def test_the_longest_vector_holds_the_last_flag() -> None:
    assert MAX_FLAG == 2039
    wire = Flags.of([MAX_FLAG]).to_wire()
    assert wire == b"\xff" + bytes(254) + b"\x80"
    assert Flags.from_wire(wire).numbers == {MAX_FLAG}


@pytest.mark.parametrize("numbers", [(), (-1,), (MAX_FLAG + 1,), (80, 4000)])
def test_flags_that_cannot_be_sent(numbers: tuple[int, ...]) -> None:
    with pytest.raises(Misuse):
        Flags.of(numbers)


@pytest.mark.parametrize(("kind", "flag"), [(-1, 80), (0x10000, 80), (62, -1), (62, MAX_FLAG + 1)])
def test_signals_that_cannot_be_sent(kind: int, flag: int) -> None:
    with pytest.raises(Misuse):
        RequestSignal(kind, flag)


def test_the_tables_are_total() -> None:
    for table in (ANY_FLAG, REQUEST_FLAG, *KNOWN_FLAGS.values()):
        assert set(table) == set(Message)
    assert set(ANSWERS) == set(Message) - {Message.CLIENT_HELLO}


def test_no_flag_may_do_more_than_any_flag() -> None:
    """A known flag's rules are never wider than the extension's own."""
    freedom = {Rule.NEVER: 0, Rule.IN_ANSWER: 1, Rule.FREELY: 2}
    for table in (REQUEST_FLAG, *KNOWN_FLAGS.values()):
        for message in Message:
            assert freedom[table[message]] <= freedom[ANY_FLAG[message]]


def allowed(number: int, message: Message, *, asked: bool) -> bool:
    try:
        check_flags(Flags.of([number]), message, answered=Flags.of([number]) if asked else None)
    except PeerError:
        return False
    return True


@pytest.mark.parametrize(("message", "asked"), list(product(Message, [False, True])))
def test_fl_03_where_a_flag_may_stand_unsolicited(message: Message, asked: bool) -> None:
    unsolicited = message in {Message.CLIENT_HELLO, Message.CERTIFICATE_REQUEST, Message.NEW_SESSION_TICKET}
    assert allowed(UNKNOWN, message, asked=asked) == (asked or unsolicited)


@pytest.mark.parametrize(("message", "asked"), list(product(Message, [False, True])))
def test_fl_08_where_the_request_flag_may_stand(message: Message, asked: bool) -> None:
    may = message is Message.CLIENT_HELLO or (message is Message.CERTIFICATE_REQUEST and asked)
    assert allowed(DEFAULT_SIGNAL.flag, message, asked=asked) == may


@pytest.mark.parametrize("message", Message)
def test_the_ticket_s_flag_stands_in_tickets_alone(message: Message) -> None:
    assert allowed(RESUMPTION_ACROSS_NAMES, message, asked=True) == (message is Message.NEW_SESSION_TICKET)


def test_one_wrong_flag_among_good_ones_is_found() -> None:
    with pytest.raises(PeerError):
        check_flags(Flags.of([UNKNOWN, 80]), Message.NEW_SESSION_TICKET, answered=None)
    check_flags(Flags.of([UNKNOWN, 8]), Message.NEW_SESSION_TICKET, answered=None)


def test_an_answer_to_another_flag_is_no_answer() -> None:
    with pytest.raises(PeerError):
        check_flags(Flags.of([80]), Message.CERTIFICATE_REQUEST, answered=Flags.of([UNKNOWN]))


def test_another_number_is_another_flag() -> None:
    elsewhere = RequestSignal(flag=17)
    check_flags(Flags.of([80]), Message.NEW_SESSION_TICKET, answered=None, signal=elsewhere)
    with pytest.raises(PeerError):
        check_flags(Flags.of([17]), Message.NEW_SESSION_TICKET, answered=None, signal=elsewhere)
