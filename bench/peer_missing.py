"""The error of a benchmark whose peer is not on this machine."""

import shutil


class PeerMissing(Exception):
    """The program or library to compare with is not installed; the text says which, and how to get it."""


def require(program: str, *, package: str) -> None:
    if shutil.which(program) is None:
        raise PeerMissing(f"{program} is not installed (Debian package {package})")
