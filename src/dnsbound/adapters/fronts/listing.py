"""Every server that `dnsbound config` knows, by the word for it."""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Final, cast

from dnsbound.adapters.fronts.snippet import Snippet
from dnsbound.errors import Misuse

MODULES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "nginx": "nginx",
    }
)
"""The word to its module here. A word with a hyphen is another way into the same program."""


def snippet(server: str) -> Snippet:
    """Misuse for a server that nobody knows."""
    if server not in MODULES:
        raise Misuse(f"no configuration for {server!r}; there is one for {', '.join(MODULES)}")
    return cast("Snippet", import_module(f"dnsbound.adapters.fronts.{MODULES[server]}").SNIPPET)
