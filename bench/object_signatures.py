"""Signing and verifying objects: ours, the libraries of JOSE and COSE, and the bare primitive, over the same octets.

Every contender signs or verifies one token with the same payload and key, in the same run, in turn, by the processor's
time; the least of the rounds and the median count. The bare primitive signs and verifies the signing input of our
token, already decoded: what nobody can do without. "By name" is everything a verifier of ours does with a token it has
received: the form, the access list, the signature, records at hand, the match, the evidence.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any, Final

import cwt
import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jws as joserfc_jws
from joserfc.jwk import ECKey, OKPKey
from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS

from bench.rounds import seconds_each
from bench.table import Table
from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import KeyAlgorithm, private_key_to_pem
from dnsbound.edge.object_verifier import ObjectVerifier
from dnsbound.iana import MatchingType
from dnsbound.objects import cose, jose
from dnsbound.testing import World
from dnsbound.testing.organisation import Device

PAYLOAD: Final = b'{"route":"' + b"x" * 898 + b'"}'
"""910 octets, a small report."""
BARE: Final = "bare cryptography"
_LONG_TTL: Final = 3600
_KINDS: Final[Mapping[str, KeyAlgorithm]] = {"ES256": KeyAlgorithm.P256, "EdDSA": KeyAlgorithm.ED25519}

Once = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Work:
    """What a contender does; None where it does not do it."""

    sign: Once | None
    verify: Once | None


def measure(repeats: int, rounds: int) -> Table:
    """Operations per second."""
    table = Table(
        "Signed objects, operations per second: best (median)",
        ["", *(f"{name} {what}" for name in _KINDS for what in ("sign", "of bare", "verify", "of bare"))],
    )
    with World() as world:
        columns = [_column(world, name, repeats, rounds) for name in _KINDS]
    for label in columns[0]:
        table.row(label, *(cell for column in columns for cell in column[label]))
    table.note(f"Payload of {len(PAYLOAD)} octets; records at hand; one thread.")
    return table


def _column(world: World, name: str, repeats: int, rounds: int) -> dict[str, tuple[str, str, str, str]]:
    contenders = _contenders(world, name)
    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for label, work in contenders.items():
            for what, once in (("sign", work.sign), ("verify", work.verify)):
                if once is not None:
                    times.setdefault((label, what), []).append(seconds_each(once, repeats))
    return {label: (*_cells(times, label, "sign"), *_cells(times, label, "verify")) for label in contenders}


def _cells(times: Mapping[tuple[str, str], list[float]], label: str, what: str) -> tuple[str, str]:
    taken = times.get((label, what))
    if taken is None:
        return "", ""
    share = min(times[BARE, what]) / min(taken)
    return f"{1 / min(taken):,.0f} ({1 / median(taken):,.0f})", f"{share:.2f}"


def _contenders(world: World, name: str) -> dict[str, Work]:
    cars = world.organisation("cars.example")
    digest = cars.device(f"digest-{name.lower()}", algorithm=_KINDS[name], ttl=_LONG_TTL)
    full = cars.device(f"full-{name.lower()}", algorithm=_KINDS[name], ttl=_LONG_TTL, publish=False)
    cars.publish(full.name.text, full.credential.tlsa(matching_type=MatchingType.FULL), ttl=_LONG_TTL)
    raw = digest.credential.as_raw_key()
    return {
        BARE: _bare(digest.credential, jose.sign(PAYLOAD, raw)),
        "ours, token only": _token(raw),
        "ours, by name, 3 1 1, x5c": _by_name(world, digest, digest.credential, in_band=True),
        "ours, by name, 3 1 1, jwk": _by_name(world, digest, raw, in_band=True),
        "ours, by name, 3 1 0, no key in band": _by_name(world, full, full.credential, in_band=False),
        "ours, COSE, message only": _cose(raw),
        "ours, COSE, by name, 3 1 1, kccs": _cose_by_name(world, digest, raw),
        "cwt, COSE": _cwt(name, digest.credential),
        "joserfc": _joserfc(name, digest.credential),
        "PyJWT": _pyjwt(name, digest.credential),
        "jwcrypto": _jwcrypto(name, digest.credential),
    }


def _bare(credential: Credential, token: str) -> Work:
    """What the library alone does with the octets that a token of ours has signed."""
    message = token.rpartition(".")[0].encode()
    key: Any = credential.private_key
    ecdsa = (ec.ECDSA(hashes.SHA256()),) if isinstance(key, ec.EllipticCurvePrivateKey) else ()
    signature, public = key.sign(message, *ecdsa), key.public_key()
    return Work(partial(key.sign, message, *ecdsa), partial(public.verify, signature, message, *ecdsa))


def _token(credential: Credential) -> Work:
    token = jose.sign(PAYLOAD, credential)
    assert credential.private_key is not None
    public = credential.private_key.public_key()
    return Work(partial(jose.sign, PAYLOAD, credential), lambda: jose.parse(token, typ=None).check(public))


def _by_name(world: World, device: Device, credential: Credential, *, in_band: bool) -> Work:
    verifier = ObjectVerifier.expecting([device.name.text], world.resolver())
    token = jose.sign(PAYLOAD, credential, key_in_band=in_band)

    def once() -> None:
        assert verifier.verify_blocking(jose.parse(token, typ=None)).payload == PAYLOAD

    return Work(partial(jose.sign, PAYLOAD, credential, key_in_band=in_band), once)


def _cose(credential: Credential) -> Work:
    octets = cose.sign1(PAYLOAD, credential)
    assert credential.private_key is not None
    public = credential.private_key.public_key()
    return Work(partial(cose.sign1, PAYLOAD, credential), lambda: cose.parse_sign1(octets, typ=None).check(public))


def _cose_by_name(world: World, device: Device, credential: Credential) -> Work:
    verifier = ObjectVerifier.expecting([device.name.text], world.resolver())
    octets = cose.sign1(PAYLOAD, credential)

    def once() -> None:
        assert verifier.verify_blocking(cose.parse_sign1(octets, typ=None)).payload == PAYLOAD

    return Work(partial(cose.sign1, PAYLOAD, credential), once)


def _cwt(name: str, credential: Credential) -> Work:
    assert credential.private_key is not None
    key = cwt.COSEKey.from_pem(private_key_to_pem(credential.private_key), alg=name, kid=b"1")
    protected = {1: {"ES256": -7, "EdDSA": -8}[name], 4: b"1"}
    coder = cwt.COSE.new()
    octets = coder.encode_and_sign(PAYLOAD, key, protected=protected)
    return Work(
        lambda: coder.encode_and_sign(PAYLOAD, key, protected=dict(protected)), lambda: coder.decode(octets, key)
    )


def _joserfc(name: str, credential: Credential) -> Work:
    assert credential.private_key is not None
    kind = ECKey if name == "ES256" else OKPKey
    key = kind.import_key(private_key_to_pem(credential.private_key))
    header = {"alg": name}
    token = joserfc_jws.serialize_compact(header, PAYLOAD, key, algorithms=[name])
    return Work(
        lambda: joserfc_jws.serialize_compact(header, PAYLOAD, key, algorithms=[name]),
        lambda: joserfc_jws.deserialize_compact(token, key, algorithms=[name]),
    )


def _pyjwt(name: str, credential: Credential) -> Work:
    jws = jwt.PyJWS()
    key: Any = credential.private_key
    token = jws.encode(PAYLOAD, key, algorithm=name)
    return Work(
        lambda: jws.encode(PAYLOAD, key, algorithm=name),
        lambda: jws.decode(token, key.public_key(), algorithms=[name]),
    )


def _jwcrypto(name: str, credential: Credential) -> Work:
    assert credential.private_key is not None
    key = JWK.from_pem(private_key_to_pem(credential.private_key))
    protected = json.dumps({"alg": name})

    def sign() -> str:
        made = JWS(PAYLOAD)
        made.add_signature(key, None, protected)
        serialised: str = made.serialize(compact=True)
        return serialised

    token = sign()

    def verify() -> None:
        made = JWS()
        made.deserialize(token, key)

    return Work(sign, verify)
