"""Claims in the accounting database: what goes in comes out, and nothing else does."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbound.credential.presented import EarlierMatch, Presented
from dnsbound.errors import Malformed, Misuse
from dnsbound.names import ClientName
from dnsbound.provision.accounting.kept_claim import claim_from_wire, claim_to_wire
from dnsbound.records.tlsa import TLSA
from dnsbound.verify.claim import ABSENT, Asserted, Claim, NameSource, Proved

CERTIFICATES = Claim(
    name=ClientName.parse("Car54._device.cars.example"),
    name_source=NameSource.SAN,
    presented=Presented(chain=(b"leaf", b"issuer")),
    possession=Proved("TLSv1.3"),
    door="public.isp.example",
    source="02-00-00-00-00-01 @ ap1",
    protocol="TLSv1.3",
)
RESUMED = Claim(
    name=ClientName.parse("car54._device.cars.example"),
    name_source=NameSource.EXTENSION,
    presented=Presented(chain=(b"leaf",), earlier=EarlierMatch(record=TLSA(2, 0, 1, bytes(32)), chain_expires=7.5)),
    possession=Proved("TLSv1.3 resumption", until=1_800_000_000.25),
    door="public.isp.example",
    carried_chain=b"\x00\x01chain",
)
RAW = Claim(
    name=ClientName.parse("car54._device.cars.example"),
    name_source=NameSource.EXTENSION,
    presented=Presented(raw_public_key=b"spki"),
    possession=Proved("TLSv1.2"),
    door="public.isp.example",
)


@pytest.mark.parametrize("claim", [CERTIFICATES, RESUMED, RAW], ids=["certificates", "resumed", "raw"])
def test_there_and_back(claim):
    back = claim_from_wire(claim_to_wire(claim))
    assert back == claim
    assert back.name.text == claim.name.text  # what is asked of the DNS, which equality does not look at


@pytest.mark.parametrize("possession", [ABSENT, Asserted("nginx")])
def test_only_who_proved_possession_was_let_in(possession):
    claim = Claim(
        name=RAW.name, name_source=RAW.name_source, presented=RAW.presented, possession=possession, door=RAW.door
    )
    with pytest.raises(Misuse):
        claim_to_wire(claim)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", 2),
        ("name", "no_dots"),
        ("name", 7),
        ("name_source", "guess"),
        ("chain", ["%%%"]),
        ("chain", 5),
        ("raw_public_key", "AAAA"),  # beside the chain
        ("proved", None),
        ("proved", {"by": "x", "until": "soon"}),
        ("earlier", {"record": "AAAA"}),
        ("carried_chain", 5),
    ],
)
def test_a_damaged_claim_is_malformed(key, value):
    kept = json.loads(claim_to_wire(CERTIFICATES))
    with pytest.raises(Malformed):
        claim_from_wire(json.dumps(kept | {key: value}).encode())


@given(
    st.binary(max_size=200)
    | st.text().map(str.encode)
    | st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    ).map(lambda value: json.dumps(value).encode())
)
def test_anything_else_is_malformed(octets):
    with pytest.raises(Malformed):
        claim_from_wire(octets)
