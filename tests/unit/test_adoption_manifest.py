"""Manifests of secure elements: what their makers sign is what is adopted."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate

from dnsbound.provision.adoption.candidate import BadRow, Candidate, Problem, Row
from dnsbound.provision.adoption.source import ReadingRules
from unit.adoption_sources import (
    authority,
    b64,
    b64url,
    certificate,
    element,
    manifest_entry,
    read_octets,
    spki,
    the_bad_row,
    the_candidate,
)

SIGNER = load_der_x509_certificate(authority(8, "Manifest Signer"))
CHECKED = ReadingRules(manifest_signer=SIGNER)


def read_manifest(directory: Path, *entries: dict[str, Any], rules: ReadingRules = CHECKED) -> list[Row]:
    return read_octets(directory, json.dumps(list(entries)).encode(), "manifest.json", rules)


def test_an_element_is_a_key_a_certificate_and_a_serial_number(tmp_path: Path) -> None:
    found = the_candidate(read_manifest(tmp_path, manifest_entry(element(3))))
    assert (found.spki, found.certificate) == (spki(3), certificate(3, common_name="0123f1822c38dd7a01"))
    assert found.shown.serial == "0123f1822c38dd7a01"
    assert not found.unchecked


def test_an_entry_that_nobody_checked_says_so(tmp_path: Path) -> None:
    assert the_candidate(read_manifest(tmp_path, manifest_entry(element()), rules=ReadingRules())).unchecked


def test_the_signer_named_in_the_header_must_be_the_one(tmp_path: Path) -> None:
    digest = b64url(hashlib.sha256(SIGNER.public_bytes(Encoding.DER)).digest())
    the_candidate(read_manifest(tmp_path, manifest_entry(element(), **{"x5t#S256": digest})))
    other = manifest_entry(element(), **{"x5t#S256": b64url(bytes(32))})
    assert the_bad_row(read_manifest(tmp_path, other)).problem is Problem.BAD_SIGNATURE


def forged() -> dict[str, dict[str, Any]]:
    entry, other = manifest_entry(element(1)), manifest_entry(element(2), signer=7)
    swapped = manifest_entry(element(2))
    half = entry["signature"][: len(entry["signature"]) // 2]
    return {
        "by another key": other,
        "other payload": entry | {"payload": swapped["payload"]},
        "cut": entry | {"signature": half},
        "zero": entry | {"signature": b64url(bytes(64))},
        "none": manifest_entry(element(), alg="none"),
        "symmetric": manifest_entry(element(), alg="HS256"),
        "other curve": manifest_entry(element(), alg="ES384"),
        "critical": manifest_entry(element(), crit=["b64"]),
    }


@pytest.mark.parametrize("what", forged())
def test_what_the_signer_did_not_sign_is_refused(tmp_path: Path, what: str) -> None:
    good = manifest_entry(element(5))
    bad, left = read_manifest(tmp_path, forged()[what], good)
    assert isinstance(bad, BadRow)
    assert bad.problem is Problem.BAD_SIGNATURE
    assert isinstance(left, Candidate)


def with_key(**members: Any) -> dict[str, Any]:
    payload = element()
    payload["publicKeySet"]["keys"][0] |= members
    return payload


WRONG = {
    "lite": ({"version": 2, "uniqueId": "00"}, Problem.NO_KEY),
    "no key 0": (with_key(kid="1"), Problem.NO_KEY),
    "private": (with_key(d="AAAA"), Problem.PRIVATE_KEY),
    "symmetric": (with_key(kty="oct", k="AAAA"), Problem.PRIVATE_KEY),
    "other kind": (with_key(kty="RSA"), Problem.UNREADABLE),
    "no point": (with_key(x="AAAA"), Problem.UNREADABLE),
    "no base64": (with_key(x="A"), Problem.UNREADABLE),
    "typed": (with_key(x=5), Problem.UNREADABLE),
    "other certificate": (with_key(x5c=[b64(certificate(6))]), Problem.NO_KEY),
    "no certificate": (with_key(x5c=["AAAA"]), Problem.UNREADABLE),
    "key for certificate": (with_key(x5c=[b64(spki())]), Problem.NO_KEY),
    "no list": (with_key(x5c="AAAA"), Problem.UNREADABLE),
    "keys no list": (element(publicKeySet={"keys": {}}), Problem.UNREADABLE),
    "keys no objects": (element(publicKeySet={"keys": ["x"]}), Problem.UNREADABLE),
    "no id": (element() | {"uniqueId": ""}, Problem.UNREADABLE),
}


@pytest.mark.parametrize("what", WRONG)
def test_an_entry_that_is_none_says_why(tmp_path: Path, what: str) -> None:
    payload, problem = WRONG[what]
    assert the_bad_row(read_manifest(tmp_path, manifest_entry(payload))).problem is problem


def test_another_key_of_the_element_can_be_chosen(tmp_path: Path) -> None:
    payload = element(1)
    payload["publicKeySet"]["keys"].append(element(2)["publicKeySet"]["keys"][0] | {"kid": "2"})
    rules = ReadingRules(manifest_signer=SIGNER, manifest_key="2")
    assert the_candidate(read_manifest(tmp_path, manifest_entry(payload), rules=rules)).spki == spki(2)
    payload["publicKeySet"]["keys"].append(payload["publicKeySet"]["keys"][1])
    assert the_bad_row(read_manifest(tmp_path, manifest_entry(payload), rules=rules)).problem is Problem.NO_KEY


def test_the_name_beside_the_signature_must_be_the_signed_one(tmp_path: Path) -> None:
    entry = manifest_entry(element()) | {"header": {"uniqueId": "another"}}
    assert the_bad_row(read_manifest(tmp_path, entry)).problem is Problem.UNREADABLE


@pytest.mark.parametrize("part", ["payload", "protected"])
@pytest.mark.parametrize("value", ["AAAA", "!", "", 5, None, b64url(b"[]"), b64url(b"[" * 100_000)])
def test_parts_that_are_no_json_objects(tmp_path: Path, part: str, value: object) -> None:
    problem = the_bad_row(read_manifest(tmp_path, manifest_entry(element()) | {part: value})).problem
    assert problem in (Problem.UNREADABLE, Problem.BAD_SIGNATURE)
