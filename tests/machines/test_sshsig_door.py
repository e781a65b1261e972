"""SSHSIG through the door: permit, the signature, then the records, which are secure or count for nothing."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from dnsbound.credential.signer import LocalSigner
from dnsbound.edge.object_verifier import ObjectVerifier
from dnsbound.errors import Reason, Refused, Undecided
from dnsbound.names import ClientName
from dnsbound.objects.sshsig import SshSignature, digest_of, make
from dnsbound.records.tlsa import TLSA
from dnsbound.testing import World
from dnsbound.testing.organisation import Device

CAR = "car54._device.cars.example"
MALLORY = "mallory._device.cars.example"
DIGEST = digest_of([b"route report"])


def signed(device: Device) -> SshSignature:
    return make(DIGEST, device.credential.signer, namespace="file")


def names_asked(world: World) -> set[str]:
    return {query.name for query in world.queries if query.rdtype == "TLSA"}


def test_sh_06_who_signed_is_a_name_of_the_door() -> None:
    with World() as world, world.resolver() as resolver:
        cars = world.organisation("cars.example")
        car, mallory = cars.device("car54"), cars.device("mallory")
        verifier = ObjectVerifier.expecting([CAR], resolver)
        good = signed(car).signed_object(DIGEST, namespace="file", name=ClientName.parse(CAR))
        verified = verifier.verify_blocking(good)
        assert (verified.name.canonical, verified.peer.record) == (CAR, car.record)
        # Mallory's own name is none of this door's; his key is not the car's.
        own = signed(mallory).signed_object(DIGEST, namespace="file", name=ClientName.parse(MALLORY))
        with pytest.raises(Refused) as refused:
            verifier.verify_blocking(own)
        assert refused.value.reason is Reason.NOT_PERMITTED
        forged = signed(mallory).signed_object(DIGEST, namespace="file", name=ClientName.parse(CAR))
        with pytest.raises(Refused) as refused:
            verifier.verify_blocking(forged)
        assert refused.value.reason is Reason.TLSA_MISMATCH
        assert names_asked(world) == {CAR}


def test_sh_06_a_signature_that_is_none_costs_no_lookup() -> None:
    with World() as world, world.resolver() as resolver:
        car = world.organisation("cars.example").device("car54")
        verifier = ObjectVerifier.expecting([CAR], resolver)
        other = digest_of([b"another report"])
        with pytest.raises(Refused) as refused:
            verifier.verify_blocking(signed(car).signed_object(other, namespace="file", name=ClientName.parse(CAR)))
        assert refused.value.reason is Reason.BAD_SIGNATURE
        assert names_asked(world) == set()


def test_sh_06_records_that_are_not_secure_do_not_count() -> None:
    with World() as world, world.resolver() as resolver:
        plain = world.organisation("plain.example", signed=False)
        name = ClientName.parse("car1._device.plain.example")
        key = LocalSigner(ed25519.Ed25519PrivateKey.generate())
        plain.publish("car1._device", TLSA(3, 1, 0, key.spki))
        found = make(DIGEST, key, namespace="file").signed_object(DIGEST, namespace="file", name=name)
        with pytest.raises((Refused, Undecided)) as refused:
            ObjectVerifier.expecting([name.canonical], resolver).verify_blocking(found)
        assert refused.value.reason is Reason.INSECURE


def test_sh_06_a_roll_of_two_keys_verifies_both() -> None:
    with World() as world, world.resolver() as resolver:
        cars = world.organisation("cars.example")
        car = cars.device("car54")
        key = LocalSigner(ed25519.Ed25519PrivateKey.generate())
        cars.publish("car54._device", TLSA(3, 1, 0, key.spki))
        verifier = ObjectVerifier.expecting([CAR], resolver)
        for signature in (signed(car), make(DIGEST, key, namespace="file")):
            found = signature.signed_object(DIGEST, namespace="file", name=ClientName.parse(CAR))
            assert verifier.verify_blocking(found).name.canonical == CAR
