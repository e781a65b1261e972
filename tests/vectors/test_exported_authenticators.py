"""This project's own vectors for exported authenticators: both computations give them, octet for octet."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_der_private_key

from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import private_key_from_der
from dnsbound.errors import Reason, Refused
from dnsbound.names import ClientName
from dnsbound.tls import exported_authenticator as ea
from dnsbound.tls.authenticator_request import AuthenticatorRequest, Role
from unit import authenticators as rfc

DOCUMENT = json.loads((Path(__file__).parent / "exported-authenticators.json").read_text())
CLIENTID = DOCUMENT["clientid"]
NAME = DOCUMENT["client_name"]
CERTIFICATE = bytes.fromhex(DOCUMENT["certificate"])
PRIVATE_KEY = bytes.fromhex(DOCUMENT["private_key"])
OWN = Credential(ClientName.parse(NAME), private_key_from_der(PRIVATE_KEY), (CERTIFICATE,))
OFFERED = {"offered_schemes": [0x0807]}

pytestmark = pytest.mark.parametrize("case", DOCUMENT["cases"], ids=lambda case: case["title"])


def octets(case: Any, name: str) -> bytes:
    return bytes.fromhex(case[name])


def keys(case: Any) -> ea.AuthenticatorKeys:
    return ea.AuthenticatorKeys(
        sender=Role(case["sender"]),
        digest=case["hash"],
        handshake_context=octets(case, "handshake_context"),
        finished_key=octets(case, "finished_key"),
    )


def request(case: Any) -> AuthenticatorRequest:
    return AuthenticatorRequest.parse(octets(case, "request"), Role(case["sender"]).other, clientid=CLIENTID)


def test_ours_gives_them(case: Any) -> None:
    if not case["request"]:
        made = ea.build_unasked(keys(case), octets(case, "context"), OWN.chain, OWN.signer, **OFFERED)
    else:
        made = ea.build(keys(case), request(case), OWN.chain, OWN.signer, client_name=OWN.name)
        assert ea.build_empty(keys(case), request(case)) == octets(case, "empty")
    assert made == octets(case, "authenticator")


def test_ours_takes_them(case: Any) -> None:
    if not case["request"]:
        found = ea.validate_unasked(keys(case), octets(case, "authenticator"), **OFFERED)
    else:
        found = ea.validate(keys(case), request(case), octets(case, "authenticator"))
        with pytest.raises(Refused) as caught:
            ea.validate(keys(case), request(case), octets(case, "empty"))
        assert caught.value.reason is Reason.NO_CREDENTIAL
    asked = bool(case["request"]) and request(case).clientid is not None
    assert found.client_name == (NAME.encode() if asked else None)
    assert (found.chain, found.context) == (OWN.chain, octets(case, "context"))


def test_the_formulas_give_them(case: Any) -> None:
    formulas = rfc.Formulas(octets(case, "handshake_context"), octets(case, "finished_key"), case["hash"])
    asked = case["request"] and CLIENTID.to_bytes(2, "big") in octets(case, "request")
    name = rfc.extension(CLIENTID, rfc.vector(NAME.encode(), 1)) if asked else b""
    shown = rfc.certificate(octets(case, "context"), (CERTIFICATE, name))
    key = load_der_private_key(PRIVATE_KEY, None)
    assert formulas.authenticator(octets(case, "request"), shown, key) == octets(case, "authenticator")
    if case["request"]:
        nothing = rfc.certificate(octets(case, "context"))
        assert formulas.finished(octets(case, "request"), nothing) == octets(case, "empty")
