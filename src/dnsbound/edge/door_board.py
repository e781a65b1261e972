"""The status socket of a process with doors: who is in, and forgetting a name at once.

    with DoorBoard.open("api") as board:
        board.watch(authenticator)              # its live sessions, and its evidence
        board.seen(peer, source="192.0.2.7")    # a door without connections: a request was admitted

`dnsbound who` and `dnsbound revoke` ask every board of a machine (`board_asking`). A board answers in threads of its
own, so that it serves event loops and blocking servers alike, and answers while a loop is busy. Its socket lies in the
directory of `runtime_directory`, is readable for its owner alone, and takes questions of that user and of root alone.
A process that forks opens its boards in the children.

What it does not do: decide, or remember who was in. What is said on the socket is `board_lines`.
"""

import heapq
import logging
import os
import re
import secrets
import selectors
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from threading import BoundedSemaphore, Lock, Thread
from typing import TYPE_CHECKING, Final, Self

from dnsbound.edge.board_lines import FORGET, Board, Forgotten, Inside, NameFilter, Question, to_line
from dnsbound.edge.forgetting import forget_blocking
from dnsbound.edge.runtime_directory import address_of, listens, made_runtime_directory, runtime_directory
from dnsbound.edge.seen_clients import SeenClients
from dnsbound.errors import DnsboundError, Misuse
from dnsbound.limits import BOARD_LINE_OCTETS, BOARD_QUESTIONS, BOARD_ROWS
from dnsbound.names import ClientName
from dnsbound.times import Moment, Seconds

if TYPE_CHECKING:
    from dnsbound.edge.authenticator import Authenticator
    from dnsbound.verify.peer import VerifiedPeer

SUFFIX: Final = ".board"
QUESTION_SECONDS: Final[Seconds] = 5.0
"""For a question to arrive, and for each part of an answer to be taken."""
_ENDING_SECONDS: Final[Seconds] = 2.0
_LISTENS_SECONDS: Final[Seconds] = 1.0
_KIND: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
_LABEL: Final = re.compile(r"[\x20-\x7e]{0,128}")
_CREDENTIALS: Final = struct.Struct("3i")

_log: Final = logging.getLogger("dnsbound.door_board")

Authenticators = Callable[[], "Iterable[Authenticator]"]


class DoorBoard:
    """See the module. Thread-safe. Made by `open`."""

    def __init__(
        self, kind: str, label: str, path: Path, listening: socket.socket, *, clock: Callable[[], Moment]
    ) -> None:
        self.path: Final = path
        self._board = Board(kind=kind, label=label, pid=os.getpid(), started=clock())
        self._listening = listening
        self._watched: list[Authenticators] = []
        self._told: list[Callable[[ClientName], int]] = []
        self._seen = SeenClients(clock=clock)
        self._room = BoundedSemaphore(BOARD_QUESTIONS.default)
        self._ending, self._end = socket.socketpair()
        self._lock = Lock()
        self._closed = False
        self._thread = Thread(target=self._serve, name="dnsbound-board", daemon=True)
        self._thread.start()

    @classmethod
    def open(
        cls, kind: str, label: str = "", *, directory: Path | None = None, clock: Callable[[], Moment] = time.time
    ) -> Self:
        """Begin to answer. kind: what this is, in small letters, digits and hyphens; label: which of its kind.
        directory: `runtime_directory` by default; made where it is missing. Misuse, in one line, when no socket can be
        there; a door can do without its board."""
        if not _KIND.fullmatch(kind):
            raise Misuse(f"{kind!r} is no kind of board: small letters, digits and hyphens, at most 32")
        if not _LABEL.fullmatch(label):
            raise Misuse("the label of a board is printable ASCII, at most 128 characters")
        place = made_runtime_directory(runtime_directory() if directory is None else directory)
        remove_abandoned(place)
        path = place / f"{kind}-{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
        try:
            return cls(kind, label, path, _listening(path), clock=clock)
        except OSError as error:
            raise Misuse(f"{path}: {(error.strerror or str(error)).lower()}") from error

    def watch(self, authenticators: "Authenticator | Authenticators") -> None:
        """Show the live sessions of an authenticator, and let it forget names when asked. A function is asked each time
        for those of now."""
        self._watched.append(authenticators if callable(authenticators) else lambda: (authenticators,))

    def when_forgotten(self, told: Callable[[ClientName], int]) -> None:
        """Have a function told of each name that is to be forgotten, after its doors were, in a thread of the board's.
        It says how many things it let go of."""
        self._told.append(told)

    def seen(self, peer: "VerifiedPeer", *, source: str = "", protocol: str = "") -> None:
        """A request was admitted at a door without connections: its client counts as in until its evidence ends.
        source, protocol: as of its claim."""
        self._seen.add(peer, source=source, protocol=protocol)

    def gone(self, name: ClientName, *, source: str | None = None) -> int:
        """Such a client is out: from one source, or from all. How many entries that were."""
        return self._seen.remove(name, source=source)

    def close(self) -> None:
        """Answer no more; the socket goes. Doing so twice is no mistake, and in a forked child it leaves the parent's
        alone."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        ours = self._board.pid == os.getpid()
        if ours:
            self.path.unlink(missing_ok=True)
            self._end.send(b"\0")
            self._thread.join(_ENDING_SECONDS)
        for each in (self._listening, self._ending, self._end):
            each.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    # --- questions

    def _serve(self) -> None:
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._listening, selectors.EVENT_READ)
            waiting.register(self._ending, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in waiting.select()]
                if self._ending in ready:
                    return
                try:
                    asking, _ = self._listening.accept()
                except OSError:
                    time.sleep(0.05)  # such as no descriptor left: that passes
                    continue
                self._take(asking)

    def _take(self, asking: socket.socket) -> None:
        if not self._room.acquire(blocking=False):
            asking.close()
            return
        try:
            Thread(target=self._answer, args=(asking,), name="dnsbound-board-answer", daemon=True).start()
        except RuntimeError:
            self._room.release()
            asking.close()

    def _answer(self, asking: socket.socket) -> None:
        try:
            with asking:
                asking.settimeout(QUESTION_SECONDS)
                if not _may_ask(asking):
                    return
                for line in self._lines(_line_of(asking)):
                    asking.sendall(line)
        except OSError:
            pass  # whoever asked has gone
        except Exception:  # noqa: BLE001 (a board that fails must not end the process it tells about)
            _log.exception("a question to the board failed")
        finally:
            self._room.release()

    def _lines(self, octets: bytes) -> Iterator[bytes]:
        try:
            question = Question.from_line(octets)
        except DnsboundError as error:
            yield to_line({"error": str(error)})
            return
        watched = self._authenticators()
        yield to_line(self._board_now(watched).to_json())
        if question.ask == FORGET:
            for forgotten in self._forget(ClientName.parse(question.name), watched):
                yield to_line(forgotten.to_json())
            yield to_line({"end": question.ask})
            return
        rows = list(islice(self._inside(question, watched), BOARD_ROWS.default + 1))
        for _, row in rows[: BOARD_ROWS.default]:
            yield to_line(row.to_json())
        more = {"next": rows[-2][0]} if len(rows) > BOARD_ROWS.default else {}
        yield to_line({"end": question.ask} | more)

    def _board_now(self, watched: "list[Authenticator]") -> Board:
        board = self._board
        doors = sorted({authenticator.door for authenticator in watched} | self._seen.doors())
        return Board(kind=board.kind, label=board.label, pid=board.pid, started=board.started, doors=tuple(doors))

    def _authenticators(self) -> "list[Authenticator]":
        """Each once, though it may be watched twice."""
        return list({id(each): each for watched in self._watched for each in watched()}.values())

    def _inside(self, question: Question, watched: "list[Authenticator]") -> Iterator[tuple[int, Inside]]:
        """By the number of each, from the one after the question's."""
        wanted = NameFilter(question.name)
        rows = heapq.merge(*map(_sessions, watched), self._seen.rows(), key=lambda numbered: numbered[0])
        for number, row in rows:
            is_meant = not question.door or row.door == question.door
            if number > question.after and is_meant and wanted.takes(row.name):
                yield number, row

    def _forget(self, name: ClientName, watched: "list[Authenticator]") -> Iterator[Forgotten]:
        dropped = self._seen.remove_by_door(name)
        for authenticator in watched:
            found = forget_blocking(authenticator, name)
            yield replace(found, dropped=found.dropped + dropped.pop(found.door, 0))
        for told in self._told:
            count = told(name)
            if count:
                dropped[""] = dropped.get("", 0) + count
        for door, count in dropped.items():
            yield Forgotten(door=door, dropped=count)


def _sessions(authenticator: "Authenticator") -> Iterator[tuple[int, Inside]]:
    sessions = authenticator.sessions
    for session in sessions:
        yield (
            session.number,
            Inside(
                name=session.peer.name,
                door=session.peer.door,
                since=session.since,
                until=sessions.ends_at(session),
                source=session.claim.source,
                protocol=session.claim.protocol,
            ),
        )


def _listening(path: Path) -> socket.socket:
    """Under another name until it listens, so that nobody takes it for one that was abandoned. OSError."""
    early = path.with_suffix(".new")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with address_of(early) as address:
            listening.bind(address)
        early.chmod(0o600)
        listening.listen(BOARD_QUESTIONS.default)
        listening.setblocking(False)  # noqa: FBT003 (socket takes it by position alone)
        early.rename(path)
    except BaseException:
        listening.close()
        with suppress(OSError):
            early.unlink(missing_ok=True)
        raise
    return listening


def remove_abandoned(directory: Path) -> None:
    """Take away the sockets of processes that are no more, as far as this user may."""
    for path in directory.glob(f"*{SUFFIX}"):
        if not listens(path, seconds=_LISTENS_SECONDS):
            with suppress(OSError):
                path.unlink(missing_ok=True)


def _may_ask(asking: socket.socket) -> bool:
    """Root, and the user of this process. unix(7), SO_PEERCRED."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True  # the socket's mode alone keeps others away
    octets = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(octets)
    return user in (0, os.geteuid())


def _line_of(asking: socket.socket) -> bytes:
    """One line, or what came of it before its sender ended or its time or length was over."""
    octets = b""
    ends_at = time.monotonic() + QUESTION_SECONDS
    while b"\n" not in octets and len(octets) <= BOARD_LINE_OCTETS.default and time.monotonic() < ends_at:
        part = asking.recv(4096)
        if not part:
            break
        octets += part
    return octets.partition(b"\n")[0]
