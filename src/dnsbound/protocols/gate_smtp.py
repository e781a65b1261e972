"""SMTP through the gate: the mail server learns by XCLIENT whose connection it is, and the client sees its answers.

The gate greets the mail server itself, and answers the client's EHLO with what the server offers, as far as the gate
knows how an extension is framed; STARTTLS, AUTH and XCLIENT of the server are the gate's own matter. A client may
authenticate by SASL EXTERNAL, as itself or as a mailbox that its grant `mailbox` lists; it is who it is without that,
too. With the first command that needs the server the gate introduces the client: its address and, as LOGIN, who it is.
That is done once, because Postfix takes XCLIENT once in a connection. From then on the session is passed on.

Every octet has one meaning here: lines and messages end as `dnsbound.protocols.smtp_lines` says, a command that is not
known is not passed on, and nothing follows DATA before its reply. A message that breaks these rules is never finished.
What this is not: a mail server. It queues nothing, judges no address, and knows no passwords.

Sections: RFC 5321 sections 2.3.8, 4.1.1 and 4.2; RFC 2920 section 3.1; RFC 3030 section 2; RFC 3207 section 4; RFC 4954
section 4.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from dnsbound.door_limits import SMTP_HELD_OCTETS, SMTP_PIPELINED
from dnsbound.errors import DnsboundError, LimitExceeded, Malformed, PeerError
from dnsbound.protocols.gate_steps import GrowingStep
from dnsbound.protocols.gated import NOTHING, BackendError, GateClient, GateIdentity, Step, ended_by_grants
from dnsbound.protocols.smtp_extensions import offers, passed_on
from dnsbound.protocols.smtp_external import SmtpExternal
from dnsbound.protocols.smtp_greeting import TRY_LATER
from dnsbound.protocols.smtp_lines import Command, Content, Replies, Reply, cut_line
from dnsbound.protocols.xclient import missing_attributes, xclient

_PASSED: Final = frozenset({"MAIL", "RCPT", "RSET", "NOOP", "VRFY", "EXPN", "HELP"})
"""Commands of one line whose one reply is passed back."""
_INTRODUCED: Final = _PASSED | {"DATA", "BDAT"}
"""Commands before which the server is told who the client is."""
_CHUNK_DIGITS: Final = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpOptions:
    """host: the gate's name towards both sides. starttls: TLS began by STARTTLS, so there is no second greeting.
    xclient: the server is told who the client is. external: AUTH EXTERNAL is offered."""

    host: str
    starttls: bool = True
    xclient: bool = True
    external: bool = True


class _Mode(Enum):
    """What the client's next octets are."""

    COMMANDS = auto()
    WAITING = auto()
    """For a reply that decides it; what comes meanwhile is held."""
    CONTENT = auto()
    CHUNK = auto()
    SASL = auto()
    LEAVING = auto()


class GatedSmtp:
    """A `GatedProtocol`."""

    __slots__ = (
        "_attributes",
        "_awaited",
        "_chunk",
        "_client",
        "_content",
        "_extensions",
        "_external",
        "_greeted",
        "_held",
        "_hello",
        "_introduced",
        "_mode",
        "_offer",
        "_options",
        "_replies",
        "_step",
        "_welcomed",
    )

    def __init__(self, client: GateClient, options: SmtpOptions) -> None:
        self._client = client
        self._options = options
        self._external = SmtpExternal(client, offered=options.external)
        self._mode = _Mode.WAITING
        self._held = bytearray()
        self._replies = Replies()
        self._awaited: deque[Callable[[Reply], None] | bytes] = deque()
        """What to do with the server's next replies, in order; octets are replies of the gate's own in their place."""
        self._attributes: frozenset[bytes] = frozenset()
        self._extensions: frozenset[bytes] = frozenset()
        self._hello = b""
        self._offer = Reply(250, (options.host.encode("ascii"),))
        """The server's answer to the gate's own EHLO."""
        self._greeted = options.starttls
        self._introduced = not options.xclient
        self._welcomed = bool(client.tls_version)
        """The gate's own greeting in clear has answered the first EHLO of a stranger who goes on without TLS."""
        self._content = Content()
        self._chunk = 0
        self._step = GrowingStep()

    def begin(self) -> Step:
        self._awaited.append(self._server_greeted)
        return NOTHING

    def unreachable(self, error: BackendError) -> Step:
        self._step.end = error
        return Step(to_client=TRY_LATER, end=error)

    def client_said(self, octets: bytes) -> Step:
        self._held += octets
        return self._carefully(self._read_client)

    def backend_said(self, octets: bytes) -> Step:
        self._replies.receive(octets)
        return self._carefully(self._read_server)

    def client_ended(self) -> Step:
        return NOTHING

    def backend_ended(self) -> Step:
        """While replies are awaited, the client is told that none will come."""
        if self._mode is _Mode.LEAVING or not (self._awaited or self._mode in (_Mode.CONTENT, _Mode.CHUNK)):
            return NOTHING
        self._step.to_client += TRY_LATER
        self._step.end = self._step.end or BackendError("the mail server went away in the middle of a session")
        return self._step.taken()

    def renewed(self, identity: GateIdentity) -> Step:
        return ended_by_grants(self._client, identity)

    # --- one step

    def _carefully(self, read: Callable[[], None]) -> Step:
        if self._step.end is not None:
            return NOTHING
        try:
            read()
        except BackendError as error:
            self._step.to_client += TRY_LATER
            self._step.end = error
        except DnsboundError as error:
            self._step.to_client += (
                b"421 5.5.2 Error: syntax\r\n" if isinstance(error, Malformed) else b"421 4.7.0 Error\r\n"
            )
            self._step.end = error if isinstance(error, LimitExceeded) else PeerError(str(error))
        return self._step.taken()

    # --- what the client says

    def _read_client(self) -> None:
        reading = True
        while reading and self._held:
            match self._mode:
                case _Mode.COMMANDS | _Mode.SASL:
                    reading = self._read_line()
                case _Mode.CONTENT:
                    self._read_content()
                case _Mode.CHUNK:
                    self._read_chunk()
                case _Mode.LEAVING:
                    self._held.clear()
                case _Mode.WAITING:
                    reading = False
        if len(self._held) > SMTP_HELD_OCTETS.default:
            raise LimitExceeded(SMTP_HELD_OCTETS.name, "a client that does not wait for replies")

    def _read_line(self) -> bool:
        """Whether more can be read now."""
        if len(self._awaited) >= SMTP_PIPELINED.default:
            return False
        if (line := cut_line(self._held)) is None:
            return False
        if self._mode is _Mode.SASL:
            self._mode = _Mode.COMMANDS
            self._sasl_response(line)
        else:
            self._command(Command.parse(line), line)
        return True

    def _read_content(self) -> None:
        ours = self._content.take(bytes(self._held))
        end = len(self._held) if ours is None else ours
        self._step.to_backend += self._held[:end]
        del self._held[:end]
        if ours is not None:
            self._awaited.append(self._pass)
            self._mode = _Mode.COMMANDS

    def _read_chunk(self) -> None:
        taken = self._held[: self._chunk]
        self._step.to_backend += taken
        del self._held[: len(taken)]
        self._chunk -= len(taken)
        if not self._chunk:
            self._mode = _Mode.COMMANDS

    def _command(self, command: Command, line: bytes) -> None:
        match command.verb:
            case "EHLO" | "HELO" if command.argument:
                self._greet(command.verb, line)
            case verb if not self._introduced and verb in _INTRODUCED:
                self._introduce(line)
            case verb if verb in _PASSED:
                self._relay(line, self._pass)
            case "DATA" if not command.argument:
                self._mode = _Mode.WAITING
                self._relay(line, self._data_answered)
            case "BDAT":
                self._begin_chunk(command.argument, line)
            case "QUIT":
                self._mode = _Mode.LEAVING
                self._relay(line, self._pass)
            case "AUTH":
                self._authenticate(command.argument)
            case "STARTTLS":
                self._answer(b"503 5.5.1 TLS is already active")
            case "EHLO" | "HELO" | "DATA":
                self._answer(b"501 5.5.4 Syntax error in parameters")
            case _:
                self._answer(b"500 5.5.1 Command unrecognized")

    def _greet(self, verb: str, line: bytes) -> None:
        self._hello = line
        if not self._welcomed:
            self._welcomed = True
            if self._introduced:
                self._mode = _Mode.WAITING
                self._relay(line, self._server_greeted_again)
        elif self._introduced:
            self._relay(line, self._answer_hello if verb == "EHLO" else self._pass)
        else:
            offered = self._offered(self._offer) if verb == "EHLO" else Reply(250, self._offer.lines[:1])
            self._answer_with(offered.to_wire())

    def _introduce(self, line: bytes) -> None:
        """Tell the server who the client is, and greet it in the client's words; then go on with the line."""
        self._held[:0] = line + b"\r\n"
        self._mode = _Mode.WAITING
        client = self._client
        login = None if self._external.login is None else self._external.login.encode("utf-8")
        told = xclient(self._attributes, client=client.client, server=client.server, login=login)
        self._relay(told, self._server_told)

    def _server_told(self, reply: Reply) -> None:
        if reply.code != 220:
            raise BackendError(f"the mail server refuses XCLIENT: {reply.code}")
        self._introduced = True
        if self._hello:
            self._relay(self._hello, self._server_greeted_again)
        else:
            self._mode = _Mode.COMMANDS

    def _server_greeted_again(self, reply: Reply) -> None:
        if reply.code != 250:
            raise BackendError(f"the mail server does not take the EHLO that was answered: {reply.code}")
        self._extensions = frozenset(offers(reply))
        self._mode = _Mode.COMMANDS

    def _begin_chunk(self, argument: bytes, line: bytes) -> None:
        """BDAT: its octets follow at once, whatever the server will answer, so a server that does not know it must
        not see it."""
        size, _, last = argument.partition(b" ")
        if not size.isdigit() or len(size) > _CHUNK_DIGITS or last.upper() not in (b"", b"LAST"):
            raise Malformed("a BDAT command whose size cannot be read")
        if b"CHUNKING" not in self._extensions:
            raise PeerError("a chunk that was not offered")
        self._relay(line, self._pass)
        self._chunk = int(size)
        self._mode = _Mode.CHUNK if self._chunk else _Mode.COMMANDS

    def _relay(self, line: bytes, then: Callable[[Reply], None]) -> None:
        self._step.to_backend += line + b"\r\n"
        self._awaited.append(then)

    def _answer(self, reply: bytes) -> None:
        self._answer_with(reply + b"\r\n")

    def _answer_with(self, reply: bytes) -> None:
        """The gate's own reply, behind those that are awaited."""
        if self._awaited:
            self._awaited.append(reply)
        else:
            self._step.to_client += reply

    # --- AUTH EXTERNAL

    def _authenticate(self, argument: bytes) -> None:
        mechanism, _, initial = argument.partition(b" ")
        if not self._external.offered:
            self._answer(b"502 5.5.1 Authentication is not offered")
        elif not self._hello or self._external.done:
            self._answer(b"503 5.5.1 Bad sequence of commands")
        elif mechanism.upper() != b"EXTERNAL":
            self._answer(b"504 5.5.4 Unrecognized authentication type")
        elif initial:
            self._sasl_response(initial)
        else:
            self._mode = _Mode.SASL
            self._answer(b"334 ")

    def _sasl_response(self, carried: bytes) -> None:
        self._answer(self._external.answer(carried, introduced=self._introduced))

    # --- what the server says

    def _read_server(self) -> None:
        try:
            while self._step.end is None and (reply := self._replies.next()) is not None:
                self._replied(reply)
        except (Malformed, LimitExceeded) as error:
            raise BackendError(str(error)) from error
        if self._step.end is None:
            self._read_client()

    def _replied(self, reply: Reply) -> None:
        if not self._awaited:
            self._step.to_client += reply.to_wire() if reply.code == 421 else TRY_LATER
            self._step.end = BackendError(f"the mail server ended the session: {reply.code}")
            return
        then = self._awaited.popleft()
        assert not isinstance(then, bytes)
        then(reply)
        while self._awaited and isinstance(own := self._awaited[0], bytes):
            self._awaited.popleft()
            self._step.to_client += own

    def _pass(self, reply: Reply) -> None:
        self._step.to_client += reply.to_wire()

    def _server_greeted(self, reply: Reply) -> None:
        if reply.code != 220:
            raise BackendError(f"the mail server does not greet: {reply.code}")
        if not self._greeted:
            self._greeted = True
            self._step.to_client += reply.to_wire()
        if self._introduced:
            self._mode = _Mode.COMMANDS
        else:
            self._relay(b"EHLO " + self._options.host.encode("ascii"), self._server_offered)

    def _server_offered(self, reply: Reply) -> None:
        """Whether the server lets itself be told is known before the client has said a word."""
        self._attributes = frozenset(attribute.upper() for attribute in offers(reply).get(b"XCLIENT", ()))
        if missing := sorted(missing_attributes(self._attributes, named=self._external.login is not None)):
            wanted = b" ".join(missing).decode("ascii")
            raise BackendError(f"the mail server does not take XCLIENT {wanted} from this gate")
        self._offer = reply
        self._mode = _Mode.COMMANDS

    def _answer_hello(self, reply: Reply) -> None:
        self._step.to_client += (self._offered(reply) if reply.code == 250 else reply).to_wire()

    def _offered(self, reply: Reply) -> Reply:
        """A server's answer to EHLO, with what this gate passes on and offers itself."""
        self._extensions = frozenset(offers(reply))
        return passed_on(reply, *([b"AUTH EXTERNAL"] if self._external.offered else []))

    def _data_answered(self, reply: Reply) -> None:
        """What came before this is a message to one reader and commands to another (RFC 2920 section 3.1)."""
        if self._held:
            raise PeerError("octets behind DATA before its reply")
        self._step.to_client += reply.to_wire()
        self._mode = _Mode.CONTENT if reply.code == 354 else _Mode.COMMANDS
        self._content = Content()
