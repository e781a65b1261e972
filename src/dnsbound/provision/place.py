"""Where an inventory can be: a file's path, or the URL of a PostgreSQL database. Loads neither driver."""

import re
from pathlib import Path
from typing import Final

_URL: Final = re.compile(r"(?:postgres|postgresql|postgresql\+psycopg)://")


def parse_place(text: str, *, relative_to: Path = Path()) -> Path | str:
    """A path, `~` and relative ones resolved, or the URL as it is."""
    return text if is_url(text) else relative_to / Path(text).expanduser()


def is_url(text: str) -> bool:
    """Whether the text is the URL of a database rather than a path."""
    return _URL.match(text) is not None
