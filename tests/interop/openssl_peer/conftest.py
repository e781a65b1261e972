"""The door that the peer's clients stand at, and their credentials on disk."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adversary.door import Door, open_door
from dnsbound.credential.credential import Credential
from dnsbound.testing import World
from interop.openssl_peer.peer import Files


@pytest.fixture
def door(world: World) -> Iterator[Door]:
    with open_door(world, ticket_lifetime=600) as opened:
        yield opened


@pytest.fixture
def save(tmp_path: Path) -> Callable[[Credential], Files]:
    def saved(credential: Credential) -> Files:
        stem = f"credential{len(list(tmp_path.iterdir()))}"
        return Files.save(tmp_path, stem, key=credential.private_key_der(), chain=credential.chain)

    return saved
