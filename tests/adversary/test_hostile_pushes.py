"""Pushes that are small on the way and large in memory, or that never come to an end."""

import subprocess
from pathlib import Path

import pytest

from dnsbound.edge.git_repository import GitRepository, judge_push
from dnsbound.edge.git_signers import GitSigners
from dnsbound.errors import LimitExceeded, Malformed
from dnsbound.object_limits import GIT_OBJECT_OCTETS
from dnsbound.verify.access import AccessList
from unit.claims import DOOR, NAME, NOW, Records, answer

pytestmark = pytest.mark.peer("git")
NOBODY = "A <a@cars.example> 1790000000 +0000"
ZEROS = "0" * 40


def git(place: Path, *arguments: str, given: bytes = b"") -> str:
    done = subprocess.run(["git", *arguments], cwd=place, input=given, capture_output=True, check=True, timeout=20)
    return done.stdout.decode("ascii").strip()


def written(place: Path, kind: str, text: str) -> str:
    return git(place, "hash-object", "-t", kind, "-w", "--stdin", given=text.encode("ascii"))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "--bare", ".")
    return tmp_path


def commit(place: Path, message: str) -> str:
    tree = written(place, "tree", "")
    return written(place, "commit", f"tree {tree}\nauthor {NOBODY}\ncommitter {NOBODY}\n\n{message}\n")


def pushed(place: Path, digest: str) -> list[str]:
    access = AccessList.allowing(DOOR, [NAME])
    signers = GitSigners(access, Records(answer(NAME)), door=DOOR, deadline=1, clock=lambda: NOW)
    found = judge_push(GitRepository(place), signers, f"{ZEROS} {digest} refs/heads/main\n")
    return [judged.digest for judged in found]


def test_sh_09_a_commit_that_is_too_long_is_never_held(place: Path) -> None:
    assert pushed(place, digest := commit(place, "short")) == [digest]
    with pytest.raises(LimitExceeded):
        pushed(place, commit(place, "a" * GIT_OBJECT_OCTETS.default))


def test_sh_09_tags_of_tags_come_to_an_end(place: Path) -> None:
    digest, kind = commit(place, "short"), "commit"
    for depth in range(1, 10):
        digest = written(place, "tag", f"object {digest}\ntype {kind}\ntag t{depth}\ntagger {NOBODY}\n\n{depth}\n")
        kind = "tag"
        if depth == 8:
            assert len(pushed(place, digest)) == 9
    with pytest.raises(Malformed):
        pushed(place, digest)
