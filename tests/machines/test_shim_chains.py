"""Servers known by the DNSSEC chain in their handshake (RFC 9102), through Contexts."""

import ssl
from itertools import product
from typing import Any

import pytest

from adversary.hostile_client import HANDSHAKE, extension
from dnsbound import Reason
from dnsbound.credential.credential import Credential
from dnsbound.dns.answer import Outcome, Security
from dnsbound.dns.chain import AuthenticationChain
from dnsbound.dns.chain_judging import ChainLimits
from dnsbound.edge.chain_source import FixedChain
from dnsbound.edge.context import Context
from dnsbound.edge.context_chain import ChainRequest, ServedChain
from dnsbound.errors import UNDECIDED_REASONS, Misuse
from dnsbound.iana import DNSSEC_CHAIN, Usage
from dnsbound.limits import CARRIED_OCTETS, CARRIED_RECORDS
from dnsbound.records.tlsa import TLSA
from dnsbound.testing import World
from dnsbound.tls.errors import TLSCertificateRefused, TLSMisuse, TLSRefused, TLSUndecided
from dnsbound.tls.server_chain import _SHOWN, FALLBACK, Demand, Shown
from machines.chain_pairs import HOST, OWNER, PORT, ZONE, asking, chain_of, fails, meet, record, serving
from machines.native_hostile_server import HostileServer, client_hello_extensions
from machines.native_pairs import Identity, authority, make_identity
from machines.shim_pairs import Doorkeeper, Pair, client, credential, door, web_credential

# --- the server authenticated by its chain


@pytest.mark.parametrize("required", [False, True])
def test_dc_04_a_chain_authenticates_whom_no_authority_knows(
    signed: World, stranger: Identity, *, required: bool
) -> None:
    far = serving(chain_of(signed, record(stranger)), stranger)
    pair = meet(asking(signed, required=required), far)
    assert pair.near.server_tlsa() == record(stranger)
    assert pair.near.getpeercert() == {}, "usage 3 vouches for the key alone"
    pair.near.write(b"hello")
    assert pair.far.read(5) == b"hello"


@pytest.mark.parametrize("required", [False, True])
def test_dc_04_a_key_that_the_chain_does_not_show_is_refused_whoever_vouches(signed: World, *, required: bool) -> None:
    other = make_identity("x.example")
    error = fails(asking(signed, required=required), serving(chain_of(signed, record(other))))
    assert isinstance(error, TLSCertificateRefused)


@pytest.mark.parametrize("usage", [Usage.DANE_EE, Usage.PKIX_EE])
def test_certificates_of_an_authority_with_a_chain(signed: World, usage: Usage) -> None:
    own = make_identity(HOST, issuer=authority())
    pair = meet(asking(signed), serving(chain_of(signed, record(own, usage)), own))
    assert pair.near.server_tlsa() == record(own, usage)


def test_usages_that_check_names_check_the_sni(signed: World) -> None:
    own = make_identity("other.cars.example", issuer=authority())
    error = fails(asking(signed), serving(chain_of(signed, record(own, Usage.PKIX_EE)), own))
    assert isinstance(error, TLSCertificateRefused)


@pytest.mark.parametrize("required", [False, True])
def test_raw_key_of_a_server(signed: World, *, required: bool) -> None:
    own = Credential.generate(HOST, now=0, kind="raw")
    served = ServedChain(host=HOST, port=PORT, source=FixedChain(chain_of(signed, own.tlsa())))
    far = Context.server(own, authenticator=Doorkeeper(), policy="optional", dnssec_chain=served)
    pair = meet(asking(signed, required=required), far)
    assert pair.near.shim.peer_raw_public_key() == own.spki
    assert pair.near.server_tlsa() == own.tlsa()


def test_raw_key_of_a_server_without_a_chain(signed: World) -> None:
    own = Credential.generate(HOST, now=0, kind="raw")
    far = Context.server(own, authenticator=Doorkeeper(), policy="optional")
    fails(asking(signed), far)


def test_a_server_with_both_shows_its_certificate_where_authorities_would_do(signed: World) -> None:
    own = make_identity(HOST, issuer=authority())
    pair = meet(asking(signed), serving(None, own, show_raw_public_key=True))
    assert pair.near.getpeercert(binary_form=True) == own.chain[0]


def test_the_client_is_known_at_the_door_after_the_server_is_known_to_it(signed: World, stranger: Identity) -> None:
    served = ServedChain(host=HOST, port=PORT, source=FixedChain(chain_of(signed, record(stranger))))
    far = Context.server(web_credential(stranger), authenticator=Doorkeeper(), dnssec_chain=served)
    pair = Pair.of(
        client(credential(), dnssec_chain=ChainRequest(port=PORT, anchors=signed.anchors), server_tlsa="require"),
        far,
        host=HOST,
    )
    assert pair.shake() == (True, False)
    assert pair.admit().name.text == str(credential().name)


def test_a_server_that_shares_no_code_with_ours(signed: World, stranger: Identity) -> None:
    """Its TLS is written out in the tests, octet by octet."""
    data = (7).to_bytes(2, "big") + chain_of(signed, record(stranger))
    far = HostileServer(stranger, entry=extension(DNSSEC_CHAIN, data))
    near = asking(signed, required=True)
    near.set_groups("X25519")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    end = near.wrap_bio(incoming, outgoing, server_hostname=HOST)
    with pytest.raises(ssl.SSLWantReadError):
        end.do_handshake()
    hello = outgoing.read()
    assert client_hello_extensions(hello)[DNSSEC_CHAIN] == PORT.to_bytes(2, "big")
    incoming.write(far.answer(hello))
    end.do_handshake()
    assert end.server_tlsa() == record(stranger)
    assert {kind for kind, _ in far.open(outgoing.read())} == {HANDSHAKE}, "Certificate and Finished, no alert"


def test_dc_03_the_order_of_records_means_nothing(signed: World, stranger: Identity) -> None:
    chain = AuthenticationChain.from_wire(chain_of(signed, record(stranger)))
    reversed_octets = AuthenticationChain(tuple(reversed(chain.records))).to_wire()
    meet(asking(signed, required=True), serving(reversed_octets, stranger))


def test_dc_07_unsigned_records_are_thrown_away(signed: World, stranger: Identity) -> None:
    """An unsigned TLSA record of another name beside the chain neither helps nor hurts."""
    extra = b"\x05other\x04cars\x07example\x00" + bytes.fromhex("0034000100000e100023030101") + bytes(32)
    octets = chain_of(signed, record(stranger)) + extra
    assert meet(asking(signed, required=True), serving(octets, stranger)).near.server_tlsa() == record(stranger)


def test_a_length_before_the_chain_is_understood(signed: World, stranger: Identity) -> None:
    octets = chain_of(signed, record(stranger))
    meet(asking(signed, required=True), serving(len(octets).to_bytes(2, "big") + octets, stranger))


# --- what is not there, or does not hold


def test_dc_02_without_a_chain_authorities_decide_or_nobody_does(signed: World, stranger: Identity) -> None:
    assert meet(asking(signed), serving(None)).near.server_tlsa() is None
    assert isinstance(fails(asking(signed), serving(None, stranger)), TLSCertificateRefused)
    error = fails(asking(signed, required=True), serving(None))
    assert (type(error), error.reason) == (TLSUndecided, Reason.INDETERMINATE)


@pytest.mark.parametrize(("host", "port"), [("www.cars.example", PORT), (HOST, 443)])
def test_dc_02_a_chain_for_another_name_or_port_is_not_sent(signed: World, host: str, port: int) -> None:
    own = make_identity(HOST, issuer=authority())
    served = ServedChain(host=host, port=port, source=FixedChain(chain_of(signed, record(own))))
    pair = meet(asking(signed), serving(None, own, dnssec_chain=served))
    assert pair.near.shim._connection.server_chain() is None
    fails(asking(signed, required=True), serving(None, own, dnssec_chain=served))


def test_dc_02_a_source_that_has_nothing_yet_sends_nothing(signed: World) -> None:
    class Empty:
        def current(self) -> bytes | None:
            return None

    served = ServedChain(host=HOST, port=PORT, source=Empty())
    assert meet(asking(signed), serving(None, dnssec_chain=served)).near.server_tlsa() is None


def test_several_names_on_one_server(signed: World, stranger: Identity) -> None:
    world_chain = chain_of(signed, record(stranger))
    www = chain_of(signed, record(stranger), owner=f"_{PORT}._tcp.www.cars.example")
    both = [
        ServedChain(host="WWW.cars.example.", port=PORT, source=FixedChain(www)),
        ServedChain(host=HOST, port=PORT, source=FixedChain(world_chain)),
    ]
    for host in (HOST, "www.cars.example"):
        meet(asking(signed, required=True), serving(None, stranger, dnssec_chain=both), host=host)


NOTHING_THERE = {
    "no such name": ("_8443._tcp.nobody.cars.example", "nobody.cars.example", Reason.NO_TLSA),
    "no such record": (OWNER, HOST, Reason.NO_TLSA),
    "unsigned zone": ("_8443._tcp.plain.example", "plain.example", Reason.INSECURE),
}


@pytest.mark.parametrize("case", NOTHING_THERE)
def test_dc_02_a_proof_that_there_is_nothing(signed: World, case: str) -> None:
    """Section 2.3.1: it leaves the server to authorities; a client that demands records refuses it and knows why."""
    owner, host, reason = NOTHING_THERE[case]
    if case == "unsigned zone":
        signed.organisation("plain.example", signed=False)
    else:
        signed.organisation(ZONE).remove(owner)
    source = FixedChain(signed.chain(owner).octets)
    own = make_identity(host, issuer=authority())
    served = ServedChain(host=host, port=PORT, source=source)
    assert meet(asking(signed), serving(None, own, dnssec_chain=served), host=host).near.server_tlsa() is None
    error = fails(asking(signed, required=True), serving(None, own, dnssec_chain=served), host=host)
    assert (type(error), error.reason) == (TLSRefused, reason)


def test_records_that_cannot_be_used(signed: World) -> None:
    unusable = TLSA(3, 1, 99, bytes(32))
    octets = chain_of(signed, unusable)
    assert meet(asking(signed), serving(octets)).near.server_tlsa() is None
    error = fails(asking(signed, required=True), serving(octets))
    assert (type(error), error.reason) == (TLSRefused, Reason.TLSA_UNUSABLE)


def test_records_that_the_engine_cannot_use(signed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the two ends of our own code disagree about ends the connection."""
    monkeypatch.setattr(TLSA, "unusable_because", "")
    error = fails(asking(signed), serving(chain_of(signed, TLSA(3, 1, 99, bytes(32)))))
    assert error.reason is Reason.TLSA_UNUSABLE


BAD: dict[str, tuple[Any, Reason]] = {
    "garbage": (lambda _: b"\x03www", Reason.BAD_CHAIN),
    "cut short": (lambda chain: chain[:-1], Reason.BAD_CHAIN),
    "a signature damaged": (lambda chain: chain[:-1] + bytes((chain[-1] ^ 1,)), Reason.BOGUS),
    "the end alone": (lambda chain: AuthenticationChain(tail(chain)).to_wire(), Reason.BOGUS),
    "too long": (lambda chain: chain * (CARRIED_OCTETS.default // len(chain) + 1), Reason.WORK_BUDGET),
    "too many records": (lambda _: bytes(11) * (CARRIED_RECORDS.default + 1), Reason.BAD_CHAIN),
}


def tail(octets: bytes) -> Any:
    return AuthenticationChain.from_wire(octets).records[-2:]


@pytest.mark.parametrize("required", [False, True])
@pytest.mark.parametrize("case", BAD)
def test_a_chain_that_does_not_hold_ends_the_connection(signed: World, case: str, *, required: bool) -> None:
    """Also where nobody demanded one, and an authority vouches for the server."""
    own = make_identity(HOST, issuer=authority())
    damage, reason = BAD[case]
    error = fails(asking(signed, required=required), serving(damage(chain_of(signed, record(own))), own))
    assert error.reason is reason
    assert isinstance(error, TLSUndecided if reason in UNDECIDED_REASONS else TLSRefused)


def test_too_many_records_are_not_all_read(signed: World) -> None:
    chain = AuthenticationChain.from_wire(chain_of(signed, record(make_identity("x"))))
    least = min(chain.records, key=lambda record: len(record[2].to_wire() or b""))
    octets = AuthenticationChain((least,) * (CARRIED_RECORDS.default + 1))
    assert len(octets.to_wire()) < CARRIED_OCTETS.default
    assert fails(asking(signed), serving(octets.to_wire())).reason is Reason.WORK_BUDGET


def test_what_may_be_spent_on_a_chain(signed: World, stranger: Identity) -> None:
    octets = chain_of(signed, record(stranger))
    records = len(AuthenticationChain.from_wire(octets).records)
    for spend, holds in (
        (ChainLimits(octets=len(octets) + 2), True),
        (ChainLimits(octets=len(octets) + 1), False),
        (ChainLimits(records=records), True),
        (ChainLimits(records=records - 1), False),
    ):
        request = ChainRequest(port=PORT, anchors=signed.anchors, spend=spend)
        near, far = client(dnssec_chain=request, clock=signed.now), serving(octets, stranger)
        if holds:
            meet(near, far)
        else:
            assert fails(near, far).reason is Reason.WORK_BUDGET


def test_a_server_of_tls_1_2_shows_its_chain_in_its_hello(signed: World, stranger: Identity) -> None:
    far = serving(chain_of(signed, record(stranger)), stranger, profiles=["cid07"])
    far.maximum_version = ssl.TLSVersion.TLSv1_2
    pair = meet(asking(signed, required=True), far)
    assert pair.near.version() == "TLSv1.2"
    assert pair.near.server_tlsa() == record(stranger)


def test_a_chain_past_its_time_and_another_anchor(signed: World) -> None:
    own = make_identity(HOST, issuer=authority())
    octets = chain_of(signed, record(own), validity=600)
    late = asking(signed, clock=lambda: signed.now() + 700)
    assert fails(late, serving(octets, own)).reason is Reason.BOGUS
    strange = client(dnssec_chain=ChainRequest(port=PORT), clock=signed.now)
    assert fails(strange, serving(octets, own)).reason is Reason.BOGUS


def test_dc_01_a_name_goes_along_or_nothing_is_asked(signed: World) -> None:
    outgoing = ssl.MemoryBIO()
    near = asking(signed)
    for host, asks in ((HOST, True), ("192.0.2.7", False)):
        with pytest.raises(ssl.SSLWantReadError):
            near.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=host).do_handshake()
        extensions = client_hello_extensions(outgoing.read())
        assert (DNSSEC_CHAIN in extensions, 0 in extensions) == (asks, asks)
    with pytest.raises(TLSUndecided):
        asking(signed, required=True).wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="192.0.2.7").do_handshake()


def test_who_verifies_nothing_asks_nothing(signed: World) -> None:
    near = asking(signed, danger_unverified_server=True)
    near.check_hostname = False
    near.verify_mode = ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        near.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=HOST).do_handshake()
    assert DNSSEC_CHAIN not in client_hello_extensions(outgoing.read())


def test_records_that_were_looked_up_need_no_chain(signed: World, stranger: Identity) -> None:
    organisation = signed.organisation(ZONE)
    organisation.address(HOST, "127.0.0.1")
    organisation.replace(OWNER, record(stranger))
    near = asking(signed, required=True, resolver=signed.resolver())
    near.prepare_blocking(HOST, PORT)
    pair = meet(near, serving(None, stranger))
    assert pair.near.server_tlsa() == record(stranger)


# --- tables


def test_tables_are_total() -> None:
    assert set(FALLBACK) == set(product(Shown, Demand))
    assert set(_SHOWN) == set(product(Security, Outcome))
    assert {at for at, shown in _SHOWN.items() if shown is Shown.RECORDS} == {(Security.SECURE, Outcome.RECORDS)}
    assert {shown for (shown, demand), reason in FALLBACK.items() if demand is Demand.RECORDS and reason is None} == {
        Shown.RECORDS
    }


# --- arguments


def test_arguments_that_mean_nothing(signed: World) -> None:
    source = FixedChain(b"x")
    for wrong in (
        lambda: ChainRequest(port=0),
        lambda: ChainRequest(port=65_536),
        lambda: ServedChain(host=HOST, port=0, source=source),
        lambda: ServedChain(host=HOST, port=1, source=source, lifetime=-1),
        lambda: ServedChain(host=HOST, port=1, source=source, lifetime=65_536),
        lambda: client(server_tlsa="require"),
        lambda: client(carry_chain=source),
        lambda: client(credential(), carry_chain=source, carried_chain=0xFF01),
    ):
        with pytest.raises(TLSMisuse):
            wrong()
    for wrong in (lambda: ServedChain(host="a" * 64, port=1, source=source), lambda: ChainRequest(longest_pin=-1)):
        with pytest.raises(Misuse):
            wrong()


def test_a_chain_that_no_extension_holds(signed: World) -> None:
    long = FixedChain(bytes(65_000))
    with pytest.raises(TLSMisuse):
        Pair.of(client(credential(), carry_chain=long), door(), host="server.example")
    served = ServedChain(host=HOST, port=PORT, source=long)
    with pytest.raises(TLSMisuse):
        Pair.of(asking(signed), serving(None, dnssec_chain=served), host=HOST)


def test_no_session_is_resumed_beside_a_chain(signed: World, stranger: Identity) -> None:
    near = asking(signed)
    with pytest.raises(TLSMisuse, match="resume"):
        near.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=HOST, session=object())
