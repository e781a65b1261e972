"""What is said about keys of XMPP addresses: statements, their claims, addresses, and identity keys."""

from functools import cache

from dnsbound.credential.credential import Credential
from dnsbound.names import ClientName
from dnsbound.objects.bare_jid import BareJid
from dnsbound.objects.jose import sign_jwt
from dnsbound.objects.jose.strict_json import read_object
from dnsbound.objects.omemo_key import OmemoKey, curve25519_form
from dnsbound.objects.xmpp_attestation import TYP, attest, parse_attestation
from fuzz.target import Target, text

NOW = 1_790_000_000.0
DAY = 86_400.0
JID = BareJid.parse("bob@xmpp.example")
KEY = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")


@cache
def bob() -> Credential:
    return Credential.generate(ClientName.parse("bob._user.people.example"), now=NOW)


def statements() -> list[bytes]:
    key = OmemoKey(device=7, identity_key=KEY)
    return [
        attest(bob(), str(JID), omemo=[key], ox=["1357B01865B2503C18453D208CAC2A9678548E35"], now=NOW).encode(),
        attest(bob(), str(JID), now=NOW).encode(),
    ]


def claims() -> list[bytes]:
    return [
        b'{"sub":"bob@xmpp.example","omemo":[{"device":7,"ik":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}],"ox":[]}',
        b'{"sub":"bob@xmpp.example","ox":["1357B01865B2503C18453D208CAC2A9678548E35"],"exp":1790001000}',
    ]


def parse_claims(octets: bytes) -> object:
    """Claims of anything, under a signature that holds."""
    members = read_object(octets, "claims")
    members.pop("iss", None)
    token = sign_jwt({"iat": int(NOW)} | members, bob(), now=NOW, lifetime=DAY, typ=TYP)
    return parse_attestation(token, jid=JID, now=NOW)


ATTESTATION_TARGETS: dict[str, Target] = {
    "attestation": Target(lambda octets: parse_attestation(octets, jid=JID, now=NOW), statements),
    "attestation-claims": Target(parse_claims, claims),
    "bare-jid": Target(lambda octets: BareJid.parse(text(octets)), lambda: [str(JID).encode()]),
    "omemo-key": Target(curve25519_form, lambda: [KEY]),
}
