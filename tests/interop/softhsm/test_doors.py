"""Mutual handshakes at a door with keys on a PKCS #11 token, at either end, as certificates and as raw keys."""

import secrets

import pytest

from dnsbound.credential.credential import CredentialKind
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.edge.pkcs11_keys import Pkcs11Key
from dnsbound.testing import World
from interop.hardware_doors import NAME, client_in_hardware, server_in_hardware
from interop.tokens import TestToken

pytestmark = pytest.mark.peer("softhsm2-util")


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.P256, KeyAlgorithm.ED25519, KeyAlgorithm.RSA2048])
@pytest.mark.parametrize("kind", ["x509", "raw"])
def test_a_client_on_the_token_is_known_by_its_name(
    world: World, token: TestToken, algorithm: KeyAlgorithm, kind: CredentialKind
) -> None:
    key = Pkcs11Key.make(token.uri(f"key-{secrets.token_hex(6)}"), algorithm)
    assert client_in_hardware(world, key, kind) == NAME.encode()


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.P256, KeyAlgorithm.ED25519, KeyAlgorithm.RSA2048])
@pytest.mark.parametrize("kind", ["x509", "raw"])
def test_a_door_on_the_token_knows_its_clients(
    world: World, token: TestToken, algorithm: KeyAlgorithm, kind: CredentialKind
) -> None:
    key = Pkcs11Key.make(token.uri(f"key-{secrets.token_hex(6)}"), algorithm)
    assert server_in_hardware(world, key, kind) == NAME.encode()
