"""What several files of these tests start from."""

from collections.abc import Iterator

import pytest

from dnsbound.testing import World
from machines.native_pairs import Identity, make_identity


@pytest.fixture(scope="module")
def signed() -> Iterator[World]:
    with World() as made:
        yield made


@pytest.fixture(scope="module")
def stranger() -> Identity:
    """A server's certificate that no authority vouches for, for another name and out of date."""
    return make_identity("elsewhere.example", days=(-9, -1))
