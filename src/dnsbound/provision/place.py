"""Where a database of this package can be: a file's path, or the URL of a PostgreSQL database. Loads neither driver."""

import re
from pathlib import Path
from typing import Final

from dnsbound.errors import Misuse

_URL: Final = re.compile(r"(?:postgres|postgresql|postgresql\+psycopg)://")
_OTHER_URL: Final = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)


def parse_place(text: str, *, relative_to: Path = Path()) -> Path | str:
    """A path, `~` and relative ones resolved, or the URL as it is. Misuse for another URL."""
    return text if is_url(text) else relative_to / Path(text).expanduser()


def is_url(text: str) -> bool:
    """Whether the text is the URL of a database rather than a path. Misuse for a URL of another kind, which as a path
    would show its password."""
    if _URL.match(text):
        return True
    if other := _OTHER_URL.match(text):
        raise Misuse(f"a database is a file or a postgresql:// database, not {other[1]}://")
    return False
