"""Faces that are no HTTP: a connection on which questions follow each other, each with one answer, in their order.

`PolicyFace` is the policy protocol of Postfix and Exim (`protocols.postfix_policy`), `LineFace` the line protocol for
scripts (`protocols.verify_lines`). One question of a connection is looked up at a time, and as many at once as there
are connections; a peer that stops in the middle of a question, or does not read its answers, is cut off.
"""

import socket
import time
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final, Generic, TypeVar

from dnsbound.door_limits import POLICY_IDLE_SECONDS
from dnsbound.edge.front import Allowed, Asked, Denied, Front
from dnsbound.edge.served_front import FrontConnection, ServedFront, StreamServer
from dnsbound.edge.toml_tables import TomlTable
from dnsbound.errors import DnsboundError
from dnsbound.protocols.postfix_policy import PolicyOutcome, PolicyRequest, PolicyRequests, PolicyUse, answer_to
from dnsbound.protocols.verify_lines import LineQuestion, Lines, allowed_line, denied_line, malformed_line
from dnsbound.verify.claim import NameSource

_Q = TypeVar("_Q")


class QuestionConnection(FrontConnection, Generic[_Q]):
    """What the two have in common."""

    def __init__(self, served: ServedFront) -> None:
        super().__init__(served)
        self._questions: Iterator[_Q] = iter(())
        self._is_within = False
        """A question has begun, and its time runs."""
        self._has_ended = False
        """The peer will ask no more."""

    @abstractmethod
    def read(self, octets: bytes) -> Iterator[_Q]:
        """Each question that is whole now. A DnsboundError ends the connection."""

    @property
    @abstractmethod
    def is_between(self) -> bool:
        """No question has begun that is not whole."""

    @abstractmethod
    def asked(self, question: _Q) -> Asked:
        """What it asks; a DnsboundError where it asks nothing that can be understood."""

    @abstractmethod
    def told(self, question: _Q, answer: Allowed | Denied) -> bytes:
        """The answer in the words of the protocol."""

    @abstractmethod
    def not_understood(self, question: _Q, error: DnsboundError, answer: Denied) -> bytes:
        """As `told`, for a question that `asked` nothing."""

    @abstractmethod
    def last_words(self, error: DnsboundError) -> bytes:
        """What a peer hears that broke the protocol, before its connection is closed."""

    # --- of a connection

    def received(self, octets: bytes) -> None:
        self._questions = chain(self._questions, self.read(octets))
        self._advance()

    def resumed(self) -> None:
        self._advance()

    def eof_received(self) -> bool:
        """What was asked is answered first, and then the connection closed."""
        self._has_ended = True
        return self.is_waiting

    def _advance(self) -> None:
        try:
            while not self.is_waiting and (question := next(self._questions, None)) is not None:
                self._ask(question)
        except DnsboundError as error:
            self.served.door.malformed(error)
            self.served.turn_away("protocol", f"breaks its protocol: {error}")
            self.write(self.last_words(error))
            self.close()
            return
        if self.is_waiting:
            return
        if self._has_ended:
            self.close()
        elif self.is_between:
            self._is_within = False
            self.wait_for_request()
        elif not self._is_within:
            self._is_within = True
            self.wait_for_rest()

    def _ask(self, question: _Q) -> None:
        began = time.perf_counter()
        door = self.served.door
        try:
            asked = self.asked(question)
        except DnsboundError as error:
            self._say(self.not_understood(question, error, door.malformed(error)), began)
            return
        answer = door.at_hand(asked)
        if answer is not None:
            self._say(self.told(question, answer), began)
        else:
            self.meanwhile(self._later(question, asked, began))

    async def _later(self, question: _Q, asked: Asked, began: float) -> None:
        self._say(self.told(question, await self.served.door.ask(asked)), began)

    def _say(self, octets: bytes, began: float) -> None:
        self.write(octets)
        self.served.door.counters.took(time.perf_counter() - began)


# --- Postfix and Exim


@dataclass(frozen=True, slots=True)
class PolicyOptions:
    """What an admission is good for."""

    use: PolicyUse = PolicyUse.REQUIRE


class PolicyFace:
    """A `Face`."""

    def options(self, table: TomlTable, front: Front) -> PolicyOptions:
        _check_socket(table, front)
        if NameSource.STATED not in front.claim_from:
            raise table.wrong('is ["stated"]: a mail server tells digests, in which there is no name', "claim_from")
        return PolicyOptions(table.chosen("use", {use.value: use for use in PolicyUse}, PolicyUse.REQUIRE))

    async def serve(self, served: ServedFront, sock: socket.socket) -> StreamServer:
        return await StreamServer.start(served, sock, PolicyConnection)


def _check_socket(table: TomlTable, front: Front) -> None:
    """Malformed over TCP: these protocols have no place for a secret."""
    if front.secrets:
        raise table.wrong(f"{front.protocol} has no place for a secret: it is spoken over Unix sockets", "secret_file")


class PolicyConnection(QuestionConnection[PolicyRequest]):
    """The claimed name is what the client called itself, its credential two digests."""

    def __init__(self, served: ServedFront) -> None:
        super().__init__(served)
        self._requests: Final = PolicyRequests()

    def read(self, octets: bytes) -> Iterator[PolicyRequest]:
        return self._requests.feed(octets)

    @property
    def is_between(self) -> bool:
        return self._requests.is_between

    def wait_for_request(self) -> None:
        """Postfix keeps its connections longer than others do."""
        self._deadline = self._loop.time() + POLICY_IDLE_SECONDS.default

    def asked(self, question: PolicyRequest) -> Asked:
        return Asked(
            digests=question.presented.digests,
            name=question.helo_name,
            source=question.client_address,
            protocol=question.protocol,
        )

    def told(self, question: PolicyRequest, answer: Allowed | Denied) -> bytes:
        options = self.served.front.options
        use = options.use if isinstance(options, PolicyOptions) else PolicyUse.REQUIRE
        if isinstance(answer, Allowed):
            return answer_to(question, use, PolicyOutcome.ALLOWED, answer.name)
        return answer_to(question, use, PolicyOutcome.UNDECIDED if answer.is_undecided else PolicyOutcome.REFUSED)

    def not_understood(self, question: PolicyRequest, error: DnsboundError, answer: Denied) -> bytes:
        del error
        return self.told(question, answer)

    def last_words(self, error: DnsboundError) -> bytes:
        """None: SMTPD_POLICY_README has a server in trouble close without an answer."""
        del error
        return b""


# --- scripts


class LineFace:
    """A `Face`."""

    def options(self, table: TomlTable, front: Front) -> None:
        """It has no keys of its own."""
        _check_socket(table, front)

    async def serve(self, served: ServedFront, sock: socket.socket) -> StreamServer:
        return await StreamServer.start(served, sock, LineConnection)


class LineConnection(QuestionConnection[bytes]):
    """One JSON object in a line. A line that is no question is answered, and the next one heard."""

    def __init__(self, served: ServedFront) -> None:
        super().__init__(served)
        self._lines: Final = Lines()
        self._question: LineQuestion

    def read(self, octets: bytes) -> Iterator[bytes]:
        return self._lines.feed(octets)

    @property
    def is_between(self) -> bool:
        return self._lines.is_between

    def asked(self, question: bytes) -> Asked:
        self._question = read = LineQuestion.from_wire(question)
        presented = read.presented
        return Asked(
            chain=presented.chain,
            raw_public_key=presented.raw_public_key,
            digests=presented.digests,
            name=read.name,
            source=read.source,
            protocol=read.protocol,
        )

    def told(self, question: bytes, answer: Allowed | Denied) -> bytes:
        del question  # One is asked at a time.
        if isinstance(answer, Allowed):
            return allowed_line(
                self._question,
                name=answer.name.canonical,
                door=answer.peer.door,
                grants=answer.grants,
                valid_until=answer.valid_until,
            )
        verdict = "undecided" if answer.is_undecided else "refused"
        return denied_line(self._question, verdict=verdict, reason=answer.reason)

    def not_understood(self, question: bytes, error: DnsboundError, answer: Denied) -> bytes:
        del question, answer
        return malformed_line(str(error))

    def last_words(self, error: DnsboundError) -> bytes:
        return malformed_line(str(error))
