"""ML-DSA identities from end to end: made, published, and known at a door, with hybrid key exchange and without."""

import contextlib
import ssl
from types import SimpleNamespace

import pytest

from dnsbound.credential.credential import Credential, CredentialKind
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.edge.context import Context
from dnsbound.iana import Usage
from dnsbound.testing import World
from interop.hardware_doors import told_by
from machines.doors import car, door
from machines.shim_pairs import NAME, Doorkeeper, Pair

MLDSA = [KeyAlgorithm.MLDSA44, KeyAlgorithm.MLDSA65, KeyAlgorithm.MLDSA87]
WORLD_NAME = "car54._device.cars.example"


@pytest.mark.parametrize("algorithm", MLDSA)
@pytest.mark.parametrize("kind", ["x509", "raw"])
@pytest.mark.parametrize("exchange", ["hybrid-only", "x25519"])
def test_a_client_with_an_ml_dsa_key_is_known_by_its_name(
    world: World, algorithm: KeyAlgorithm, kind: CredentialKind, exchange: str
) -> None:
    device = car(world, algorithm=algorithm, kind=kind)
    assert (device.record.usage, device.record.selector, device.record.matching_type) == (3, 1, 1)
    at = door(world, key_exchange=exchange)
    assert told_by(at.context, at.client(device, key_exchange=exchange))[0] == WORLD_NAME.encode()


def test_another_key_of_the_kind_is_nobodys(world: World) -> None:
    car(world, algorithm=KeyAlgorithm.MLDSA65)
    at = door(world)
    stranger = SimpleNamespace(
        credential=Credential.generate(WORLD_NAME, now=world.now(), algorithm=KeyAlgorithm.MLDSA65)
    )
    with pytest.raises(ssl.SSLError):
        told_by(at.context, at.client(stranger))  # type: ignore[arg-type] # all that is asked of a Device
    assert at.reasons == ["tlsa-mismatch"]


@pytest.mark.parametrize("depth", [0, 1])
def test_an_authority_with_an_ml_dsa_key_vouches_for_its_clients(world: World, depth: int) -> None:
    authority = CertificateAuthority.create("Cars", now=world.now(), algorithm=KeyAlgorithm.MLDSA65)
    issuing = (
        authority if depth == 0 else authority.intermediate("Plant", now=world.now(), algorithm=KeyAlgorithm.MLDSA44)
    )
    own = issuing.issue(WORLD_NAME, now=world.now(), algorithm=KeyAlgorithm.MLDSA44)
    record = own.tlsa(Usage.DANE_TA)
    assert record == authority.tlsa(selector=record.selector)
    world.organisation("cars.example").publish("car54._device", record)
    at = door(world)
    client = at.client(SimpleNamespace(credential=own))  # type: ignore[arg-type] # all that is asked of a Device
    assert told_by(at.context, client)[0] == WORLD_NAME.encode()


def octets(algorithm: KeyAlgorithm, kind: CredentialKind, exchange: str) -> int:
    """Of a whole mutual handshake, both ends of one kind."""
    own = Credential.generate(NAME, now=0, algorithm=algorithm, kind=kind)
    near = Context.client(own, danger_unverified_server=True, key_exchange=exchange)
    near.check_hostname, near.verify_mode = False, ssl.CERT_NONE
    near._set(peer_types=(0, 2))
    shown = Credential.generate("server.example", now=0, algorithm=algorithm, kind=kind)
    pair = Pair.of(near, Context.server(shown, authenticator=Doorkeeper(), key_exchange=exchange))
    total = 0
    for end, way in ((pair.near, pair.to_far), (pair.far, pair.to_near), (pair.near, pair.to_far), (pair.far, None)):
        with contextlib.suppress(ssl.SSLWantReadError):
            end.do_handshake()
        total += 0 if way is None else way.pending
    assert pair.far.pending_claim is not None
    return total


@pytest.mark.parametrize(
    ("algorithm", "kind", "exchange", "documented"),
    [
        (KeyAlgorithm.P256, "x509", "default", 4200),
        (KeyAlgorithm.P256, "raw", "x25519", 1160),
        (KeyAlgorithm.MLDSA44, "raw", "default", 10700),
        (KeyAlgorithm.MLDSA65, "x509", "default", 20900),
        (KeyAlgorithm.MLDSA65, "raw", "default", 13800),
        (KeyAlgorithm.MLDSA65, "raw", "x25519", 11400),
    ],
)
def test_the_sizes_that_are_documented(
    algorithm: KeyAlgorithm, kind: CredentialKind, exchange: str, documented: int
) -> None:
    assert documented - 200 <= octets(algorithm, kind, exchange) <= documented + 50
