"""A file that is signed in SSH's own form, and judged by the signer's DNS name; ssh-keygen reads the same signature."""

from collections.abc import Iterable

import dnsbound
from dnsbound.edge.resolver import Resolver
from dnsbound.objects.sshsig import FILE, SshSignature, digest_of, make
from dnsbound.testing import World


def sign(pieces: Iterable[bytes], credential: dnsbound.Credential) -> str:
    return make(digest_of(pieces), credential.signer, namespace=FILE).to_text()


def signer(text: str, pieces: Iterable[bytes], name: str, resolver: Resolver) -> str:
    signature = SshSignature.from_text(text)
    expected = dnsbound.ClientName.parse(name)  # an SSH signature says no name
    signed = signature.signed_object(signature.digest_of(pieces), namespace=FILE, name=expected)
    verified = dnsbound.ObjectVerifier.expecting([name], resolver).verify_blocking(signed)
    return verified.name.text


if __name__ == "__main__":
    with World() as world, world.resolver() as resolver:
        cars = world.organisation("cars.example")
        car, mallory = cars.device("car54"), cars.device("mallory")
        film = [b"piece by piece, ", b"of any length"]
        print(signer(sign(film, car.credential), film, car.name.text, resolver))  # car54._device.cars.example
        try:
            signer(sign(film, mallory.credential), film, car.name.text, resolver)
        except dnsbound.Refused as refused:
            print(refused.reason)  # tlsa-mismatch
