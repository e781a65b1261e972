"""What Git's configuration of the repository one is in, and the environment, say to the programs that Git runs."""

import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dnsbound.errors import Misuse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnsbound.edge.resolver import Resolver

DOOR: Final = "dnsbound.door"
DEFAULT_DOOR: Final = "git"
ACCESS: Final = "dnsbound.access"
"""The access list, for programs to which Git gives no file."""
SECONDS: Final = 5.0
"""For Git's own answer, and for each lookup."""


def configured_door() -> str:
    """Misuse when Git cannot say: another door than the one that is meant might let somebody in."""
    return _setting(DOOR) or DEFAULT_DOOR


def configured_access() -> Path:
    """Misuse where there is none: then nobody may sign."""
    if not (text := _setting(ACCESS, "--type=path")):
        raise Misuse(f"{ACCESS} is not in Git's configuration: it names the access list of who may sign")
    return Path(text)


@contextmanager
def configured_resolver() -> "Iterator[Resolver]":
    """By the environment, since Git hands on no options of ours."""
    from dnsbound.cli.opened import opened_resolver

    resolver, anchors = os.environ.get("DNSBOUND_RESOLVER"), os.environ.get("DNSBOUND_ANCHORS")
    with opened_resolver([resolver] if resolver else None, Path(anchors) if anchors else None) as asked:
        yield asked


def _setting(name: str, *options: str) -> str:
    """Empty where it is not set."""
    try:
        asked = subprocess.run(  # noqa: S603 (nothing of anybody else is run)
            ["git", "config", *options, "--get", name],  # noqa: S607 (the Git that runs this, by the same path)
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Misuse(f"git config --get {name}: {error}") from None
    return asked.stdout.strip()
