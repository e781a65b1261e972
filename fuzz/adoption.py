"""Every reader of adoption, and rollback files.

A reader never raises: any octets are rows, good or bad, and no row holds more than a row may. The promise that no
private key comes out is `tests/property/test_adoption_hostile.py`'s.
"""

import base64
import io
import json
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from dnsbound.credential.credential import Credential
from dnsbound.names import ClientName
from dnsbound.provision.adoption.accepting import Terms, accepted
from dnsbound.provision.adoption.candidate import BadRow, Candidate, PassedOver
from dnsbound.provision.adoption.formats import READERS, Format
from dnsbound.provision.adoption.naming import NameRules
from dnsbound.provision.adoption.rollback import read_backwards
from dnsbound.provision.adoption.source import ReadingRules, Source
from dnsbound.provision.adoption.tpm_public_area import TpmPublicArea
from fuzz.target import Target

NOW = 1_790_000_000.0
ROW = 4096
RULES = ReadingRules(row_octets=ROW)
TERMS = Terms(names=NameRules.parse(below="cars.example"))


def read(format_: Format, octets: bytes) -> None:
    source = Source(label="fuzz", stream=io.BytesIO(octets), stem="fuzz", rules=RULES)
    for row in READERS[format_](source):
        assert isinstance(row, Candidate | BadRow | PassedOver)
        if isinstance(row, Candidate):
            assert len(row.spki) <= 2 * ROW
            accepted(row, TERMS)
        elif isinstance(row, BadRow):
            assert len(row.detail) < 2 * ROW


def rollback(octets: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(octets)
        file.flush()
        for _ in read_backwards(Path(file.name)):
            pass


@cache
def credential() -> Credential:
    return Credential.generate(ClientName.parse("car54._device.cars.example"), now=NOW)


def pem(label: str, der: bytes) -> bytes:
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (label.encode(), base64.encodebytes(der), label.encode())


def tables() -> list[bytes]:
    spki, der = (base64.b64encode(octets) for octets in (credential().spki, credential().chain[0]))
    return [
        b"name,public_key,ttl,tags\ncar1,%b,60,red;blue\ncar2,zz,,\n" % spki,
        b'serial;certificate\r\nSN1;"%b"\r\n' % pem("CERTIFICATE", credential().chain[0]),
        b"sn\ttpm_public\nSN1\t%b\n" % tpm_area().hex().encode(),
        b"serial,certificate,owner\nSN1,%b,cars\n" % der,
    ]


def documents() -> list[bytes]:
    spki = base64.b64encode(credential().spki).decode()
    row = {"name": "car1", "public_key": spki, "tags": ["red"], "ttl": 60}
    element = {
        "uniqueId": "01",
        "publicKeySet": {"keys": [{"kid": "0", "kty": "EC", "crv": "P-256", "x": "", "y": ""}]},
    }
    encoded = base64.urlsafe_b64encode(json.dumps(element).encode()).decode()
    entry = {"payload": encoded, "protected": "e30", "header": {"uniqueId": "01"}, "signature": "AAAA"}
    return [json.dumps(one).encode() for one in ([row, row], row, [entry], [[row], "x", 1, None])]


def lines() -> list[bytes]:
    return [b"%b\n%b\n" % (json.dumps(json.loads(one)).encode(), one[:30]) for one in documents()]


def keys_of_openssh() -> list[bytes]:
    made = (ed25519.Ed25519PrivateKey.generate().public_key(), ec.generate_private_key(ec.SECP384R1()).public_key())
    plain = [public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) for public in made]
    return [plain[0] + b" car1\n", b'# keys\nfrom="10.0.0.0/8",command="ssh-rsa AAAA" ' + plain[1] + b" me@host\n"]


def blocks() -> list[bytes]:
    private = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return [pem("CERTIFICATE", credential().chain[0]) + private, pem("PUBLIC KEY", credential().spki) * 3]


@cache
def tpm_area() -> bytes:
    numbers = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
    points = b"".join(b"\0\x20" + value.to_bytes(32, "big") for value in (numbers.x, numbers.y))
    return bytes.fromhex("0023000b00040072000000100018000b00030010") + points


def rollbacks() -> list[bytes]:
    header = b'{"dnsbound-rollback": 1}\n'
    former = {"spki": "AAAA", "certificate": None, "records": ["3 1 1 00"], "ttl": 1, "owner": "", "tags": []}
    former["registered_at"] = 0.0
    line = {"undo": "register", "name": "a.b", "key": "00", "former": former}
    return [
        header,
        header + json.dumps(line).encode() + b"\n",
        header + b'{"undo": "revoke", "name": "a.b", "key": ""}',
    ]


SEEDS: dict[Format, Callable[[], list[bytes]]] = {
    Format.PEM: blocks,
    Format.DER: lambda: [credential().chain[0], credential().spki, tpm_area()],
    Format.OPENSSH: keys_of_openssh,
    Format.TABLE: tables,
    Format.JSON: documents,
    Format.JSON_LINES: lines,
}

ADOPTION_TARGETS = {f"adopt-{format_.value}": Target(partial(read, format_), SEEDS[format_]) for format_ in Format} | {
    "tpm-public-area": Target(TpmPublicArea.from_wire, lambda: [tpm_area()]),
    "rollback-file": Target(rollback, rollbacks),
}
