"""SMTP is cut at CRLF and nowhere else, however it arrives."""

import pytest

from dnsbound.door_limits import SMTP_COMMAND_OCTETS, SMTP_REPLY_OCTETS
from dnsbound.errors import LimitExceeded, Malformed
from dnsbound.protocols.smtp_lines import Command, Content, Replies, Reply, cut_line

MESSAGE = b"Subject: x\r\n\r\n..dots\r\n.. \r\n.\r\n"


def replies(octets: bytes, size: int) -> list[Reply]:
    made, found = Replies(), []
    for start in range(0, len(octets), size):
        made.receive(octets[start : start + size])
        while (reply := made.next()) is not None:
            found.append(reply)
    return found


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_replies_of_one_line_and_of_several(size: int) -> None:
    octets = b"220 mail ESMTP\r\n250-mail\r\n250-SIZE 1000\r\n250 DSN\r\n221\r\n"
    found = replies(octets, size)
    assert [reply.code for reply in found] == [220, 250, 221]
    assert found[1].lines == (b"mail", b"SIZE 1000", b"DSN")
    assert b"".join(reply.to_wire() for reply in found) == octets.replace(b"221\r\n", b"221 \r\n")


@pytest.mark.parametrize("octets", [b"250-a\r\n220 b\r\n", b"hello\r\n", b"99 x\r\n", b"250 a\nb\r\n", b"250 a\rb\r\n"])
def test_what_is_no_reply(octets: bytes) -> None:
    with pytest.raises(Malformed):
        replies(octets, 1000)


@pytest.mark.parametrize("octets", [b"250-" + b"x" * 20_000, b"250-x\r\n" * 5000])
def test_a_reply_ends_somewhere(octets: bytes) -> None:
    with pytest.raises(LimitExceeded) as caught:
        replies(octets, 512)
    assert caught.value.limit == SMTP_REPLY_OCTETS.name


def test_a_line_waits_for_its_end() -> None:
    kept = bytearray(b"EHLO a\r")
    assert cut_line(kept) is None
    kept += b"\nNOOP"
    assert cut_line(kept) == b"EHLO a"
    assert kept == b"NOOP"


def test_sm_10_a_line_ends_somewhere() -> None:
    kept = bytearray(b"N" * (SMTP_COMMAND_OCTETS.default - 1))
    assert cut_line(kept) is None
    kept += b"N"
    with pytest.raises(LimitExceeded) as caught:
        cut_line(kept)
    assert caught.value.limit == SMTP_COMMAND_OCTETS.name


@pytest.mark.parametrize("octets", [b"NOOP\n", b"\n", b"NO\rOP\r\n", b"NOOP\r\r\n", b"NO\rOP", b"MAIL\nRCPT\r\n"])
def test_sm_04_a_bare_cr_or_lf_in_a_line(octets: bytes) -> None:
    with pytest.raises(Malformed):
        cut_line(bytearray(octets))


@pytest.mark.parametrize("line", [b"", b" NOOP", b"NO\tOP", b"NOOP\x00", b"MAIL:x", b"\xffHLO x"])
def test_what_is_no_command(line: bytes) -> None:
    with pytest.raises(Malformed):
        Command.parse(line)


def test_commands() -> None:
    assert Command.parse(b"mail FROM:<a@b>") == Command("MAIL", b"FROM:<a@b>")
    assert Command.parse(b"QUIT  ") == Command("QUIT", b"")


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 1000])
def test_sm_05_a_message_ends_with_crlf_dot_crlf_however_it_is_cut(size: int) -> None:
    content, octets = Content(), MESSAGE + b"MAIL"
    taken = 0
    for start in range(0, len(octets), size):
        piece = octets[start : start + size]
        ours = content.take(piece)
        taken += len(piece) if ours is None else ours
        if ours is not None:
            break
    assert taken == len(MESSAGE)


def test_an_empty_message_ends_at_its_first_line() -> None:
    assert Content().take(b".\r\nQUIT\r\n") == 3


@pytest.mark.parametrize(
    "ending",
    [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\r\n\x00.\r\n.\n", b"\r\n.\r\r\n", b"\n.\r"],
)
@pytest.mark.parametrize("size", [1, 2, 1000])
def test_sm_04_nothing_else_ends_a_message(ending: bytes, size: int) -> None:
    """The endings of SMTP smuggling: each is an error before anything behind it could be a command."""
    content, octets = Content(), b"Subject: x\r\n\r\nhello" + ending + b"MAIL FROM:<admin@cars.example>\r\n"
    with pytest.raises(Malformed):
        _ = [content.take(octets[start : start + size]) for start in range(0, len(octets), size)]
