"""What `encrypt` and `decrypt` read and write: files and streams of a size that fits memory."""

import sys
from pathlib import Path
from typing import Final

from dnsbound.errors import LimitExceeded, Misuse
from dnsbound.object_limits import ENCRYPTED_FILE_OCTETS

FORMATS: Final = ("jwe", "cose")
LARGEST: Final = ENCRYPTED_FILE_OCTETS.default
LARGEST_MESSAGE: Final = 2 * LARGEST
"""base64url twice, around the signed part and around all of it, makes 16 octets of 9."""


def checked_format(form: str) -> None:
    if form not in FORMATS:
        raise Misuse(f"--format {form!r} is neither {' nor '.join(FORMATS)}")


def read_message(source: str, longest: int) -> bytes:
    """A file, or standard input for `-`. OSError; LimitExceeded when it is too long."""
    if source == "-":
        octets = sys.stdin.buffer.read(longest + 1)
    else:
        with Path(source).open("rb") as file:
            octets = file.read(longest + 1)
    if len(octets) > longest:
        raise LimitExceeded(
            ENCRYPTED_FILE_OCTETS.name,
            f"{'standard input' if source == '-' else source} is larger than {longest >> 20} MiB, the most that is "
            "held in memory: encrypt it in parts",
        )
    return octets


def write_message(out: Path | None, octets: bytes, *, secret: bool) -> None:
    """To a file, whole or not at all, or to standard output for None. secret: for its owner alone, and no file of that
    name may be there."""
    from dnsbound.edge.secret_files import write_public_file, write_secret_file

    if out is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(octets)
        sys.stdout.buffer.flush()
    elif secret:
        write_secret_file(out, octets)
    else:
        write_public_file(out, octets)
