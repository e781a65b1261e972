"""What the gate says to an SMTP client in clear: a greeting, that there is STARTTLS, and nothing else (RFC 3207).

No mail server is connected while this talks. Everything but the way to TLS is answered with 530 (section 4), and
nothing that was said is remembered (section 4.2). A gate that lets strangers in, as the mail server of a domain must
(section 4), passes a client on in clear with its first command that is more than a greeting.
"""

from typing import Final

from dnsbound.door_limits import SMTP_CLEAR_COMMANDS
from dnsbound.errors import DnsboundError, PeerError
from dnsbound.limits import Budget
from dnsbound.protocols.gated import NOTHING, Step
from dnsbound.protocols.smtp_lines import Command, cut_line

TRY_LATER: Final = b"421 4.3.2 Service not available, closing transmission channel\r\n"

_SPOKEN: Final = frozenset({"EHLO", "HELO", "STARTTLS", "NOOP", "RSET", "QUIT"})
"""Commands that the gate itself answers in clear."""


class SmtpGreeting:
    """A `ClearGreeting`. host: the name the gate has towards clients. strangers: who begins no TLS goes on in clear."""

    __slots__ = ("_budget", "_hello", "_host", "_kept", "_over", "_strangers")

    def __init__(self, host: str, *, strangers: bool = False) -> None:
        self._host = host.encode("ascii")
        self._strangers = strangers
        self._hello = b""
        self._kept = bytearray()
        self._budget = Budget(SMTP_CLEAR_COMMANDS)
        self._over = False

    def begin(self) -> Step:
        return Step(to_client=b"220 " + self._host + b" ESMTP\r\n")

    def client_said(self, octets: bytes) -> Step:
        if self._over:
            return NOTHING
        self._kept += octets
        said = bytearray()
        try:
            while (line := cut_line(self._kept)) is not None:
                self._budget.spend()
                command = Command.parse(line)
                if command.verb == "STARTTLS" and not command.argument:
                    return self._upgrade(bytes(said))
                if self._strangers and command.verb not in _SPOKEN:
                    return self._pass_on(bytes(said), line)
                if command.verb in ("EHLO", "HELO") and command.argument:
                    self._hello = line + b"\r\n"
                said += self._answer(command)
                if command.verb == "QUIT":
                    return self._end(bytes(said), PeerError("the client took its leave before STARTTLS"))
        except DnsboundError as error:
            return self._end(bytes(said) + b"421 5.5.2 Error: bad syntax\r\n", error)
        return Step(to_client=bytes(said))

    def _answer(self, command: Command) -> bytes:
        match command.verb:
            case "EHLO" if command.argument:
                return b"250-" + self._host + b"\r\n250 STARTTLS\r\n"
            case "HELO" if command.argument:
                return b"250 " + self._host + b"\r\n"
            case "EHLO" | "HELO" | "STARTTLS":
                return b"501 5.5.4 Syntax error in parameters\r\n"
            case "NOOP" | "RSET":
                return b"250 2.0.0 Ok\r\n"
            case "QUIT":
                return b"221 2.0.0 Bye\r\n"
            case _:
                return b"530 5.7.0 Must issue a STARTTLS command first\r\n"

    def _upgrade(self, said: bytes) -> Step:
        if self._kept:
            return self._end(b"", PeerError("commands behind STARTTLS, to be taken for protected ones"))
        self._over = True
        return Step(to_client=said + b"220 2.0.0 Ready to start TLS\r\n", upgrade=True)

    def _pass_on(self, said: bytes, line: bytes) -> Step:
        """Its filter hears the greeting again, and tells nobody the answer (`dnsbound.protocols.gate_smtp`)."""
        self._over = True
        return Step(to_client=said, to_backend=self._hello + line + b"\r\n" + bytes(self._kept), in_clear=True)

    def _end(self, said: bytes, why: DnsboundError) -> Step:
        self._over = True
        self._kept.clear()
        return Step(to_client=said, end=why)
