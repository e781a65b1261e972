"""A verification with the records at hand, in process, against the least a verification costs anywhere: one P-256
signature verification and parsing the certificate. Both in the same run, the least of several rounds, taken in turn.
"""

import time
from collections.abc import Callable
from functools import partial

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from bench.rounds import least, seconds_each
from bench.table import Table
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.credential.presented import Presented
from dnsbound.edge.authenticator import Authenticator
from dnsbound.testing import World
from dnsbound.testing.organisation import Device
from dnsbound.verify.access import AccessList
from dnsbound.verify.claim import Claim, NameSource, Proved

DOOR = "bench"
LONG_TTL = 3600


def measure(repeats: int, rounds: int) -> Table:
    """Microseconds per operation."""
    with World() as world:
        cars = world.organisation("cars.example")
        car, issued = cars.device("car54", ttl=LONG_TTL), cars.device("car77", publish=False)
        authority = CertificateAuthority.create("bench", now=time.time()).intermediate("west", now=time.time())
        chain = authority.certify(issued.name, issued.credential.spki, now=time.time())
        cars.publish(issued.name.text, authority.tlsa(), ttl=LONG_TTL)
        access = AccessList.allowing(DOOR, [car.name.text, issued.name.text])
        door = Authenticator(access, world.resolver(), door=DOOR)
        raw = car.credential.as_raw_key().presented
        work = {
            "one P-256 verification and certificate parse": _least_work(car),
            "3 1 1, certificate": _verification(door, car, car.credential.presented),
            "3 1 1, raw key": _verification(door, car, raw),
            "2 0 1, leaf, intermediate and root": _verification(door, issued, Presented(chain)),
        }
        best = least({label: partial(seconds_each, once, repeats) for label, once in work.items()}, rounds)
    bare = next(iter(best.values()))
    table = Table("Verify, records at hand, in process", ["what", "us", "of the first row"])
    for label, seconds in best.items():
        table.row(label, f"{seconds * 1e6:.1f}", f"{seconds / bare:.2f}")
    return table


def _least_work(device: Device) -> Callable[[], object]:
    key, message = device.credential.private_key, b"CertificateVerify"
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    algorithm = ec.ECDSA(hashes.SHA256())
    signature, certificate = key.sign(message, algorithm), device.credential.chain[0]

    def once() -> None:
        public_key = x509.load_der_x509_certificate(certificate).public_key()
        assert isinstance(public_key, ec.EllipticCurvePublicKey)
        public_key.verify(signature, message, algorithm)

    return once


def _verification(door: Authenticator, device: Device, presented: Presented) -> Callable[[], object]:
    claim = Claim(
        name=device.name,
        name_source=NameSource.EXTENSION,
        presented=presented,
        possession=Proved("bench"),
        door=DOOR,
        source="192.0.2.1",
    )
    return lambda: door.authenticate_blocking(claim)
