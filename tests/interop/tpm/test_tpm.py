"""A key in a TPM 2.0, through tpm2-pkcs11: it signs, it stays, and both ends of a door work with it."""

import pkcs11
import pytest

from dnsbound.credential.credential import CredentialKind
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.credential.signature import verify_signature
from dnsbound.edge.pkcs11_keys import Pkcs11Key
from dnsbound.errors import Misuse
from dnsbound.iana import SignatureScheme
from dnsbound.testing import World
from interop.hardware_doors import NAME, client_in_hardware, server_in_hardware
from interop.tokens import TestToken

pytestmark = pytest.mark.peer("swtpm", "pkcs11-tool")


def test_a_key_made_in_the_tpm_signs_and_stays(key: Pkcs11Key) -> None:
    assert key.schemes == (SignatureScheme.ECDSA_SECP256R1_SHA256,)
    verify_signature(key.spki, key.schemes[0], key.sign(b"message", key.schemes[0]), b"message")
    assert not key.is_extractable
    assert not key.needs_human
    attribute = pkcs11.Attribute

    def look(session: pkcs11.Session) -> None:
        [found] = session.get_objects({attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY})
        assert found[attribute.SENSITIVE]
        assert found[attribute.NEVER_EXTRACTABLE]
        with pytest.raises(pkcs11.PKCS11Error):
            found[attribute.VALUE]

    key._token.use(look)


def test_it_is_found_again_by_its_uri(key: Pkcs11Key) -> None:
    assert Pkcs11Key.open(key.uri.to_text()).spki == key.spki


@pytest.mark.parametrize("kind", ["x509", "raw"])
def test_a_client_in_the_tpm_is_known_by_its_name(world: World, key: Pkcs11Key, kind: CredentialKind) -> None:
    assert client_in_hardware(world, key, kind) == NAME.encode()


@pytest.mark.parametrize("kind", ["x509", "raw"])
def test_a_door_in_the_tpm_knows_its_clients(world: World, key: Pkcs11Key, kind: CredentialKind) -> None:
    assert server_in_hardware(world, key, kind) == NAME.encode()


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.RSA2048, KeyAlgorithm.ED25519])
def test_a_kind_of_key_that_could_not_sign_is_not_made(token: TestToken, algorithm: KeyAlgorithm) -> None:
    """tpm2-pkcs11 offers neither RSA-PSS nor Ed25519."""
    with pytest.raises(Misuse, match="no mechanism"):
        Pkcs11Key.make(token.uri("other"), algorithm)
