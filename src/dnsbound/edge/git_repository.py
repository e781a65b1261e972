"""A repository of Git, asked by Git itself: the octets of commits and tags, and what a push brings in.

Nothing of a repository is run: no hook, no filter, no pager. What a push brings in lies in a quarantine that Git shows
to its hook alone, by the environment, which is handed on.
Documents: githooks(5), pre-receive; git-rev-list(1); git-cat-file(1).
"""

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from dnsbound.edge.git_signers import GitSigners
from dnsbound.errors import DnsboundError, LimitExceeded, Malformed, Misuse, PeerError, Reason, Refused
from dnsbound.object_limits import GIT_OBJECT_OCTETS, GIT_PUSHED
from dnsbound.objects.git_object import GitObject
from dnsbound.objects.signed import VerifiedObject

_SECONDS: Final = 60.0
_HELD_OCTETS: Final = 32 << 20
"""Of objects that are read at once."""
_TAGS_DEEP: Final = 8
"""Tags of tags; each costs two runs of Git."""
_NAME: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_READERS: Final[Mapping[str, Callable[[bytes], GitObject]]] = MappingProxyType(
    {"commit": GitObject.of_commit, "tag": GitObject.of_tag}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """kind: `commit` or `tag`. digest: the object's name. Either verified or error is there."""

    kind: str
    digest: str
    verified: VerifiedObject | None = None
    error: DnsboundError | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """One line of pre-receive's input. old, new: names of objects, zeros for none."""

    old: str
    new: str
    ref: str

    @classmethod
    def parse(cls, line: str) -> "Update":
        fields = line.split(" ", 2)
        if len(fields) != 3 or not all(_NAME.fullmatch(field) for field in fields[:2]) or not fields[2]:
            raise Malformed("pre-receive: a line that is not: old, new, ref")
        return cls(*fields)

    @property
    def takes_away(self) -> bool:
        return not self.new.strip("0")


class GitRepository:
    """The repository at a path, as Git finds it there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def object_of(self, revision: str) -> tuple[str, str, bytes]:
        """Kind, name and octets of the commit or tag that is called so. Misuse where there is none."""
        try:
            digest = self._run(["rev-parse", "--verify", "--end-of-options", revision]).decode("ascii").strip()
        except PeerError:
            raise Misuse(f"{revision}: no revision of this repository") from None
        return self.read(digest)

    def read(self, digest: str) -> tuple[str, str, bytes]:
        """The same of an object's own name. Malformed for what is neither."""
        return next(self.read_all([digest]))

    def read_all(self, digests: Sequence[str]) -> Iterator[tuple[str, str, bytes]]:
        """The same of many, in order. LimitExceeded before any of one that is too long is read: what was pushed is
        compressed, and may be a thousand times as long as it was."""
        for group in self._groups(digests):
            yield from self._read_group(group)

    def _groups(self, digests: Sequence[str]) -> Iterator[Sequence[str]]:
        """As many at once as memory may hold."""
        if not digests:
            return
        names = "".join(f"{digest}\n" for digest in digests).encode("ascii")
        told = self._run(["cat-file", "--batch-check"], names).decode("ascii", "replace").splitlines()
        group: list[str] = []
        held = 0
        for digest, line in zip(digests, told, strict=True):
            kind, _, size = line.partition(" ")[2].partition(" ")
            if kind not in _READERS or not size.isdigit():
                raise Malformed(f"{digest}: a {kind} has no signer; commits and tags have")
            if int(size) > GIT_OBJECT_OCTETS.default:
                raise LimitExceeded(GIT_OBJECT_OCTETS.name, f"{digest}: a {kind} of {size} octets")
            if group and held + int(size) > _HELD_OCTETS:
                yield group
                group, held = [], 0
            group.append(digest)
            held += int(size)
        yield group

    def _read_group(self, digests: Sequence[str]) -> Iterator[tuple[str, str, bytes]]:
        names = "".join(f"{digest}\n" for digest in digests).encode("ascii")
        told = self._run(["cat-file", "--batch"], names)
        at = 0
        for digest in digests:
            end = told.find(b"\n", at)
            _, _, rest = told[at : max(end, at)].decode("ascii", "replace").partition(" ")
            kind, _, size = rest.partition(" ")
            if kind not in _READERS or not size.isdigit():
                raise Malformed(f"{digest}: a {kind} has no signer; commits and tags have")
            octets = told[end + 1 : end + 1 + int(size)]
            at = end + 1 + int(size) + 1
            yield kind, digest, octets

    def brought_in(self, new: str) -> Sequence[str]:
        """The commits below an object that no ref has yet. LimitExceeded for too many."""
        count = str(GIT_PUSHED.default + 1)
        listed = self._run(["rev-list", f"--max-count={count}", new, "--not", "--all"]).decode("ascii").split()
        if len(listed) > GIT_PUSHED.default:
            raise LimitExceeded(GIT_PUSHED.name, f"more than {GIT_PUSHED.default} commits in one push")
        return listed

    def _run(self, arguments: Sequence[str], given: bytes = b"") -> bytes:
        try:
            done = subprocess.run(  # noqa: S603 (Git, with names of objects and options that are written here)
                ["git", "--no-pager", "--no-replace-objects", *arguments],  # noqa: S607 (the one on the path)
                cwd=self._path,
                input=given,
                capture_output=True,
                timeout=_SECONDS,
                check=False,
            )
        except FileNotFoundError:
            raise Misuse("Git is not installed") from None
        except subprocess.TimeoutExpired:
            raise PeerError(f"git {arguments[0]} did not end within {_SECONDS:.0f} s") from None
        if done.returncode:
            raise PeerError(f"git {arguments[0]}: {done.stderr.decode('utf-8', 'replace').strip()}")
        return done.stdout


def judge(signers: GitSigners, kind: str, digest: str, octets: bytes) -> Judged:
    """Who signed an object; what speaks against it is kept in the value."""
    try:
        return Judged(kind=kind, digest=digest, verified=signers.verify(_READERS[kind](octets)))
    except (Malformed, PeerError, LimitExceeded) as error:
        return Judged(kind=kind, digest=digest, error=Refused(Reason.BAD_SIGNATURE, str(error)))
    except DnsboundError as error:
        return Judged(kind=kind, digest=digest, error=error)


def judge_push(repository: GitRepository, signers: GitSigners, lines: str) -> Iterator[Judged]:
    """Every commit and tag that a push brings in. lines: pre-receive's standard input. Malformed, LimitExceeded,
    PeerError where it could not be read, and nothing of it may come in."""
    for line in lines.splitlines():
        update = Update.parse(line)
        if update.takes_away:
            continue
        kind, digest, octets = repository.read(update.new)
        tags = 0
        while kind == "tag":
            tags += 1
            if tags > _TAGS_DEEP:
                raise Malformed(f"Git tag: tags of tags, more than {_TAGS_DEEP} deep")
            yield judge(signers, kind, digest, octets)
            kind, digest, octets = repository.read(_target(octets))
        for found in repository.read_all(repository.brought_in(digest)):
            yield judge(signers, *found)


def _target(tag: bytes) -> str:
    """What a tag is about."""
    word, _, name = tag.partition(b"\n")[0].partition(b" ")
    text = name.decode("ascii", "replace")
    if word != b"object" or not _NAME.fullmatch(text):
        raise Malformed("Git tag: its first line names no object")
    return text
