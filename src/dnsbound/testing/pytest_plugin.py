"""The `world` fixture: an open World of its own for each test that asks for it.

Loaded by pytest through the entry point `dnsbound`. Other scopes are a fixture of your own over `World()`.
"""

from collections.abc import Iterator

import pytest

from dnsbound.testing.world import World


@pytest.fixture
def world() -> Iterator[World]:
    """A signed miniature Internet, with its network faces open, for one test."""
    with World() as opened:
        yield opened
