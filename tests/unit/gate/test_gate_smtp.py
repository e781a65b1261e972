"""SMTP through the gate: what each side hears of the other, octet by octet."""

import base64

import pytest

from dnsbound.door_limits import SASL_ATTEMPTS, SMTP_HELD_OCTETS, SMTP_PIPELINED
from dnsbound.errors import LimitExceeded, Malformed, PeerError
from dnsbound.protocols.gate_smtp import GatedSmtp, SmtpOptions
from dnsbound.protocols.gated import BackendError, GateClient, Step
from dnsbound.protocols.smtp_greeting import SmtpGreeting
from unit.gate.clients import NAME, identity, stranger

HOST = "mail.isp.example"
OFFER = b"250-back\r\n250-PIPELINING\r\n250-STARTTLS\r\n250-XCLIENT NAME ADDR PORT LOGIN\r\n250 8BITMIME\r\n"
XCLIENT = b"XCLIENT ADDR=192.0.2.54 PORT=51234 NAME=[UNAVAILABLE] LOGIN="


class Session:
    """One connection, its back end played from the lines of a test."""

    def __init__(self, client: GateClient | None = None, **options: bool) -> None:
        self.filter = GatedSmtp(client or identity(), SmtpOptions(host=HOST, **options))
        self.to_client = self.to_backend = b""
        self.end: Exception | None = None
        self.take(self.filter.begin())

    def take(self, step: Step) -> None:
        self.to_client += step.to_client
        self.to_backend += step.to_backend
        self.end = self.end or step.end

    def client(self, octets: bytes) -> bytes:
        """What the back end hears of it."""
        self.to_backend = b""
        self.take(self.filter.client_said(octets))
        return self.to_backend

    def backend(self, octets: bytes) -> bytes:
        """What the client hears of it."""
        self.to_client = b""
        self.take(self.filter.backend_said(octets))
        return self.to_client

    def greeted(self, offer: bytes = OFFER) -> "Session":
        """Up to the answer of the client's EHLO."""
        self.backend(b"220 back\r\n")
        self.backend(offer)
        self.client(b"EHLO car\r\n")
        self.to_client = self.to_backend = b""
        return self

    def ready(self, offer: bytes = OFFER) -> "Session":
        """Up to the answer of the first command, before which the client was introduced."""
        self.greeted(offer).client(b"RSET\r\n")
        for said in (b"220 back\r\n", offer, b"250 reset\r\n"):
            self.backend(said)
        self.to_client = self.to_backend = b""
        return self


def test_sm_08_the_server_is_told_who_the_client_is() -> None:
    session = Session()
    session.client(b"EHLO car\r\n")
    assert session.to_backend == b"", "nothing before the server's greeting"
    assert session.backend(b"220 back ESMTP\r\n") == b"", "after STARTTLS there is no second greeting"
    assert session.to_backend == b"EHLO mail.isp.example\r\n"
    assert session.backend(OFFER) == b"250-back\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 AUTH EXTERNAL\r\n"
    assert session.client(b"MAIL FROM:<>\r\nRCPT TO:<a@b>\r\n") == XCLIENT + NAME.encode() + b"\r\n"
    session.to_backend = b""
    session.backend(b"220 back ESMTP\r\n")
    assert session.to_backend == b"EHLO car\r\n"
    session.to_backend = b""
    assert session.backend(OFFER) == b"", "the client's greeting was answered before"
    assert session.to_backend == b"MAIL FROM:<>\r\nRCPT TO:<a@b>\r\n"
    assert session.backend(b"250 from\r\n250 to\r\n") == b"250 from\r\n250 to\r\n"
    assert session.client(b"EHLO again\r\n") == b"EHLO again\r\n", "told once, greeted as often as the client likes"
    assert session.backend(OFFER).startswith(b"250-back\r\n250-PIPELINING\r\n250-8BITMIME\r\n")


def test_a_client_that_greets_in_the_old_way_or_not_at_all() -> None:
    session = Session()
    session.backend(b"220 back\r\n")
    session.backend(OFFER)
    session.client(b"HELO car\r\n")
    assert session.to_client == b"250 back\r\n"
    session.client(b"MAIL FROM:<>\r\n")
    session.to_backend = b""
    session.backend(b"220 back\r\n")
    assert session.to_backend == b"HELO car\r\n"
    session = Session()
    session.backend(b"220 back\r\n")
    session.backend(OFFER)
    session.client(b"MAIL FROM:<>\r\n")
    session.to_backend = b""
    session.backend(b"220 back\r\n")
    assert session.to_backend == b"MAIL FROM:<>\r\n"


def test_sm_03_the_servers_own_starttls_auth_and_unknown_extensions_are_not_offered() -> None:
    words = [b"back", b"STARTTLS", b"AUTH PLAIN", b"XFORWARD NAME", b"BURL", b"XCLIENT ADDR LOGIN", b"DSN"]
    offer = b"".join(b"250-" + word + b"\r\n" for word in words[:-1]) + b"250 DSN\r\n"
    session = Session()
    session.backend(b"220 back\r\n")
    session.backend(offer)
    session.client(b"EHLO car\r\n")
    assert session.to_client == b"250-back\r\n250-DSN\r\n250 AUTH EXTERNAL\r\n"


def test_with_tls_from_the_start_the_client_is_greeted() -> None:
    session = Session(starttls=False)
    assert session.backend(b"220 back\r\n") == b"220 back\r\n"
    assert session.backend(OFFER) == b""
    assert session.filter.unreachable(BackendError("down")).to_client.startswith(b"421 ")


def test_strangers_are_told_as_nobody_and_offered_no_login() -> None:
    session = Session(stranger())
    session.backend(b"220 back\r\n")
    session.backend(OFFER)
    session.client(b"EHLO x\r\n")
    assert session.to_client.startswith(b"250-back\r\n")
    assert b"AUTH" not in session.to_client
    session.client(b"AUTH EXTERNAL =\r\n")
    assert session.to_client.endswith(b"502 5.5.1 Authentication is not offered\r\n")
    assert session.client(b"MAIL FROM:<>\r\n").endswith(b"LOGIN=[UNAVAILABLE]\r\n")


def test_a_stranger_in_clear_hears_the_answer_to_its_greeting_once() -> None:
    greeting = SmtpGreeting(HOST, strangers=True)
    greeting.begin()
    assert greeting.client_said(b"EHLO x\r\n").to_client == b"250-mail.isp.example\r\n250 STARTTLS\r\n"
    step = greeting.client_said(b"MAIL FROM:<>\r\nRCPT")
    assert step.in_clear
    assert step.to_client == b""
    session = Session(stranger(""))
    session.client(step.to_backend)
    session.backend(b"220 back\r\n")
    assert session.backend(OFFER) == b""
    assert session.to_backend.endswith(b"LOGIN=[UNAVAILABLE]\r\n")
    session.backend(b"220 back\r\n")
    session.to_backend = b""
    assert session.backend(OFFER) == b""
    assert session.to_backend == b"MAIL FROM:<>\r\n"
    assert session.backend(b"250 ok\r\n") == b"250 ok\r\n"


def test_a_stranger_in_clear_before_a_server_without_xclient() -> None:
    session = Session(stranger(""), xclient=False)
    session.client(b"EHLO x\r\nMAIL FROM:<>\r\nDATA\r\n")
    assert session.backend(b"220 back\r\n") == b""
    assert session.to_backend == b"EHLO x\r\n"
    session.to_backend = b""
    assert session.backend(OFFER) == b""
    assert session.to_backend == b"MAIL FROM:<>\r\nDATA\r\n"
    assert session.backend(b"250 from\r\n354 go\r\n") == b"250 from\r\n354 go\r\n"
    assert session.client(b"XCLIENT x\r\n.\r\n") == b"XCLIENT x\r\n.\r\n"


@pytest.mark.parametrize("command", [b"XCLIENT ADDR=192.0.2.1", b"XFORWARD NAME=x", b"ETRN x", b"BURL x", b"ODD"])
def test_sm_08_a_clients_own_xclient_is_not_passed_on(command: bytes) -> None:
    session = Session().ready()
    assert session.client(command + b" LOGIN=admin\r\n") == b""
    assert session.to_client == b"500 5.5.1 Command unrecognized\r\n"
    assert session.end is None


def test_sm_02_starttls_begins_once() -> None:
    session = Session().ready()
    assert session.client(b"STARTTLS\r\n") == b""
    assert session.to_client == b"503 5.5.1 TLS is already active\r\n"


def test_sm_06_replies_of_the_gate_keep_their_place() -> None:
    session = Session().ready()
    assert session.client(b"MAIL FROM:<>\r\nXCLIENT x\r\nRCPT TO:<a@b>\r\n") == b"MAIL FROM:<>\r\nRCPT TO:<a@b>\r\n"
    assert session.to_client == b""
    assert session.backend(b"250 from\r\n") == b"250 from\r\n500 5.5.1 Command unrecognized\r\n"
    assert session.backend(b"250 to\r\n") == b"250 to\r\n"


def test_a_message_passes_unchanged_and_commands_follow() -> None:
    session = Session().ready()
    assert session.client(b"DATA\r\n") == b"DATA\r\n"
    assert session.backend(b"354 go\r\n") == b"354 go\r\n"
    message = b"Subject: x\r\n\r\nXCLIENT LOGIN=admin\r\n..\r\n.\r\n"
    assert session.client(message + b"MAIL FROM:<>\r\n") == message + b"MAIL FROM:<>\r\n"
    assert session.backend(b"250 queued\r\n250 from\r\n") == b"250 queued\r\n250 from\r\n"
    assert session.end is None


def test_a_refused_data_leaves_commands() -> None:
    session = Session().ready()
    session.client(b"DATA\r\n")
    assert session.backend(b"554 no\r\n") == b"554 no\r\n"
    assert session.client(b"XCLIENT x\r\n") == b""
    assert session.client(b"RSET\r\n") == b"RSET\r\n"


@pytest.mark.parametrize("reply", [b"354 go\r\n", b"554 no\r\n"])
def test_sm_06_nothing_follows_data_before_its_reply(reply: bytes) -> None:
    session = Session().ready()
    assert session.client(b"DATA\r\nSubject: x\r\n\r\n.\r\n") == b"DATA\r\n"
    session.backend(reply)
    assert isinstance(session.end, PeerError)
    assert session.client(b"more\r\n") == b""


@pytest.mark.parametrize("ending", [b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\n"])
def test_sm_04_a_smuggled_end_cuts_the_message_off(ending: bytes) -> None:
    session = Session().ready()
    session.client(b"DATA\r\n")
    session.backend(b"354 go\r\n")
    session.to_client = b""
    heard = session.client(b"hello\r\n") + session.client(b"x" + ending + b"MAIL FROM:<admin@cars.example>\r\n.\r\n")
    assert heard == b"hello\r\n", "nothing of what held the smuggled end reached the server"
    assert session.to_client == b"421 5.5.2 Error: syntax\r\n"
    assert isinstance(session.end, PeerError)


def test_sm_07_chunks_are_octets_and_not_commands() -> None:
    session = Session().ready(OFFER.replace(b"8BITMIME", b"CHUNKING"))
    assert session.client(b"BDAT 11\r\nXCLIENT x\r\nBDAT 2 LAST\r\n\n.NOOP\r\n").startswith(b"BDAT 11\r\nXCLIENT x\r\n")
    assert session.client(b"XCLIENT x\r\n") == b""
    assert session.backend(b"250 a\r\n250 b\r\n250 c\r\n") == (
        b"250 a\r\n250 b\r\n250 c\r\n500 5.5.1 Command unrecognized\r\n"
    )


@pytest.mark.parametrize(
    ("line", "offer"),
    [
        (b"BDAT 10 LAST\r\n", OFFER),
        (b"BDAT -1 LAST\r\n", OFFER.replace(b"8BITMIME", b"CHUNKING")),
        (b"BDAT 1 2\r\n", OFFER.replace(b"8BITMIME", b"CHUNKING")),
        (b"BDAT \xb2\r\n", OFFER.replace(b"8BITMIME", b"CHUNKING")),
        (b"BDAT 9999999999999999\r\n", OFFER.replace(b"8BITMIME", b"CHUNKING")),
    ],
)
def test_sm_07_a_chunk_that_cannot_be_framed_ends_the_session(line: bytes, offer: bytes) -> None:
    session = Session().ready(offer)
    assert session.client(line) == b""
    assert isinstance(session.end, PeerError)


@pytest.mark.parametrize("authzid", ["", NAME, NAME.upper()])
def test_sm_09_external_as_oneself(authzid: str) -> None:
    session = Session().greeted()
    initial = base64.b64encode(authzid.encode()) or b"="
    assert session.client(b"AUTH EXTERNAL " + initial + b"\r\n") == b""
    assert session.to_client == b"235 2.7.0 Authentication successful\r\n"
    session.client(b"AUTH EXTERNAL =\r\n")
    assert session.to_client.endswith(b"503 5.5.1 Bad sequence of commands\r\n")


def test_sm_09_external_by_challenge() -> None:
    session = Session().greeted()
    session.client(b"AUTH external\r\n")
    assert session.to_client == b"334 \r\n"
    session.client(b"\r\n")
    assert session.to_client.endswith(b"235 2.7.0 Authentication successful\r\n")


def test_sm_09_external_as_a_granted_mailbox() -> None:
    session = Session(identity(mailbox=["fleet@cars.example"])).greeted()
    wanted = base64.b64encode(b"fleet@cars.example")
    assert session.client(b"AUTH EXTERNAL " + wanted + b"\r\n") == b""
    assert session.to_client == b"235 2.7.0 Authentication successful\r\n"
    assert session.client(b"MAIL FROM:<fleet@cars.example>\r\n") == XCLIENT + b"fleet@cars.example\r\n"


def test_sm_09_who_was_introduced_cannot_become_a_mailbox() -> None:
    session = Session(identity(mailbox=["fleet@cars.example"])).ready()
    session.client(b"AUTH EXTERNAL " + base64.b64encode(b"fleet@cars.example") + b"\r\n")
    assert session.to_client == b"535 5.7.8 Authentication credentials invalid\r\n"
    session.client(b"AUTH EXTERNAL =\r\n")
    assert session.to_client.endswith(b"235 2.7.0 Authentication successful\r\n")


@pytest.mark.parametrize(
    ("response", "code"),
    [(b"Kg!!", b"501"), (b"*", b"501"), (base64.b64encode(b"admin@cars.example"), b"535"), (b"AGFiAGNk", b"501")],
)
def test_sm_09_external_as_anybody_else(response: bytes, code: bytes) -> None:
    session = Session(identity(mailbox="fleet@cars.example")).greeted()
    for _ in range(SASL_ATTEMPTS.default):
        session.to_client = b""
        session.client(b"AUTH EXTERNAL\r\n" + response + b"\r\n")
        assert session.to_client.startswith(b"334 \r\n" + code)
    session.client(b"AUTH EXTERNAL\r\n" + response + b"\r\n")
    assert isinstance(session.end, LimitExceeded)
    assert session.end.limit == SASL_ATTEMPTS.name


def test_passwords_are_not_taken() -> None:
    session = Session().greeted()
    assert session.client(b"AUTH PLAIN AGEAYg==\r\n") == b""
    assert session.to_client == b"504 5.5.4 Unrecognized authentication type\r\n"


@pytest.mark.parametrize(
    "said",
    [
        [b"554 no\r\n"],
        [b"220 back\r\n", b"250-back\r\n250 DSN\r\n"],
        [b"220 back\r\n", b"502 what?\r\n"],
        [b"220 back\r\n", b"250-back\r\n250 XCLIENT ADDR\r\n"],
        [b"220 back\r\n", OFFER, b"550 not you\r\n"],
        [b"220 back\r\n", OFFER, b"220 back\r\n", b"550 not your host\r\n"],
        [b"HTTP/1.1 400 Bad Request\r\n"],
        [b"2" * 20_000],
    ],
)
def test_sm_11_a_server_that_cannot_be_used_is_told_as_421(said: list[bytes]) -> None:
    session = Session()
    session.client(b"HELO x\r\nMAIL FROM:<>\r\n")
    heard = b"".join(session.backend(octets) for octets in said)
    assert heard.removeprefix(b"250 back\r\n").startswith(b"421 ")
    assert isinstance(session.end, BackendError)


def test_sm_11_a_server_that_speaks_unasked_ends_the_session() -> None:
    session = Session().ready()
    assert session.backend(b"421 too long\r\n") == b"421 too long\r\n"
    assert isinstance(session.end, BackendError)
    session = Session().ready()
    assert session.backend(b"250 what?\r\n").startswith(b"421 ")
    assert isinstance(session.end, BackendError)


def test_sm_11_a_server_that_is_not_there_or_goes_away() -> None:
    session = Session()
    step = session.filter.unreachable(BackendError("down"))
    assert step.to_client.startswith(b"421 ")
    assert isinstance(step.end, BackendError)
    session = Session().ready()
    session.client(b"MAIL FROM:<>\r\n")
    step = session.filter.backend_ended()
    assert step.to_client.startswith(b"421 ")
    assert isinstance(step.end, BackendError)


def test_a_session_that_takes_its_leave_ends_without_an_error() -> None:
    session = Session().ready()
    assert session.client(b"QUIT\r\nMAIL FROM:<>\r\n") == b"QUIT\r\n"
    assert session.backend(b"221 bye\r\n") == b"221 bye\r\n"
    assert session.filter.backend_ended().end is None
    assert session.end is None


def test_without_xclient_the_session_begins_at_once() -> None:
    session = Session(xclient=False)
    session.backend(b"220 back\r\n")
    assert session.client(b"EHLO car\r\n") == b"EHLO car\r\n"
    session.backend(b"250 back\r\n")
    session.client(b"AUTH EXTERNAL " + base64.b64encode(b"fleet@cars.example") + b"\r\n")
    assert session.to_client.startswith(b"250-back\r\n250 AUTH EXTERNAL\r\n535 ")


def test_commands_wait_when_too_many_are_unanswered() -> None:
    session = Session().ready()
    heard = session.client(b"NOOP\r\n" * (SMTP_PIPELINED.default + 10))
    assert heard.count(b"NOOP") == SMTP_PIPELINED.default
    session.to_backend = b""
    session.backend(b"250 ok\r\n" * 10)
    assert session.to_backend == b"NOOP\r\n" * 10


def test_a_client_that_never_waits_is_cut_off() -> None:
    session = Session()
    session.client(b"NOOP\r\n" * (SMTP_HELD_OCTETS.default // 6 + 1))
    assert isinstance(session.end, LimitExceeded)
    assert session.end.limit == SMTP_HELD_OCTETS.name


def test_sm_01_before_tls_there_is_nothing_but_the_way_to_it() -> None:
    greeting = SmtpGreeting(HOST)
    assert greeting.begin().to_client == b"220 mail.isp.example ESMTP\r\n"
    for line in (b"MAIL FROM:<>", b"AUTH EXTERNAL =", b"XCLIENT x", b"DATA", b"VRFY a", b"ODD"):
        assert greeting.client_said(line + b"\r\n").to_client == b"530 5.7.0 Must issue a STARTTLS command first\r\n"
    assert greeting.client_said(b"STARTTLS now\r\n").to_client.startswith(b"501 ")
    step = greeting.client_said(b"NOOP\r\nSTARTTLS\r\n")
    assert step.upgrade
    assert step.to_client == b"250 2.0.0 Ok\r\n220 2.0.0 Ready to start TLS\r\n"
    assert greeting.client_said(b"EHLO x\r\n") == Step()


@pytest.mark.parametrize("strangers", [False, True])
@pytest.mark.parametrize("behind", [b"RSET\r\n", b"X", b"\x16\x03\x01", b"\r\n"])
def test_sm_02_what_stands_behind_starttls_is_an_injection(behind: bytes, *, strangers: bool) -> None:
    greeting = SmtpGreeting(HOST, strangers=strangers)
    step = greeting.client_said(b"EHLO x\r\nSTARTTLS\r\n" + behind)
    assert not step.upgrade
    assert isinstance(step.end, PeerError)


@pytest.mark.parametrize(
    ("octets", "error"),
    [
        (b"NOOP\r\n" * 100, LimitExceeded),
        (b"E" * 5000, LimitExceeded),
        (b"NOOP\n", Malformed),
        (b"QUIT\r\n", PeerError),
    ],
)
def test_a_client_in_clear_is_bounded(octets: bytes, error: type[Exception]) -> None:
    step = SmtpGreeting(HOST).client_said(octets)
    assert isinstance(step.end, error)
    assert not step.upgrade
