"""Servers authenticated by TLSA records that a signed World publishes, against real TLS servers."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dnsbound.credential.association import tlsa_for_certificate
from dnsbound.credential.credential import Credential
from dnsbound.edge.context import Context
from dnsbound.errors import Reason
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.records.tlsa import TLSA
from dnsbound.testing import World
from dnsbound.tls.errors import TLSCertificateRefused, TLSMisuse, TLSRefused, TLSUndecided
from interop.python_clients.conftest import WAIT, Files, hypercorn_server
from machines.native_pairs import Identity, authority, make_identity
from machines.shim_pairs import Pair, door, stock_server

HOST = "api.cars.example"
PORT = 443
DANE_NO_MATCH = 65


def record(identity: Identity, usage: Usage = Usage.DANE_EE, position: int = 0) -> TLSA:
    return tlsa_for_certificate(identity.chain[position], usage, Selector.SPKI, MatchingType.SHA2_256)


@pytest.fixture(scope="module")
def signed() -> Iterator[World]:
    with World() as made:
        yield made


def prepared(world: World, *records: TLSA, host: str = HOST, **options: Any) -> Context:
    """A client that has looked up what was just published."""
    name = f"_{PORT}._tcp.{host}"
    organisation = world.organisation(host.split(".", 1)[1])
    organisation.address(host, "127.0.0.1")
    organisation.replace(name, *records, ttl=2)
    context = Context.client(resolver=world.resolver(), server_tlsa="require", **options)
    context.prepare_blocking(host, PORT)
    return context


def test_key_in_a_record_is_enough(signed: World, tmp_path: Path) -> None:
    """RFC 7671 section 5.1: usage 3 asks neither for a name nor for dates; what the certificate says is not vouched
    for, and not shown."""
    stale = make_identity("elsewhere.example", days=(-9, -1))
    pair = Pair.of(prepared(signed, record(stale)), stock_server(tmp_path, stale), host=HOST)
    assert pair.shake() == (True, True)
    assert pair.near.server_tlsa() == record(stale)
    assert pair.near.getpeercert() == {}
    assert pair.near.getpeercert(binary_form=True) == stale.chain[0]
    assert pair.near.context.verify_mode is ssl.CERT_REQUIRED


def test_another_key_does_not_match(signed: World, tmp_path: Path) -> None:
    """Not even under an authority this client trusts."""
    context = prepared(signed, record(make_identity("x")))
    context.load_verify_locations(cadata=authority().chain[0])
    pair = Pair.of(context, stock_server(tmp_path, make_identity(HOST, issuer=authority())), host=HOST)
    with pytest.raises(TLSCertificateRefused) as caught:
        pair.shake()
    assert caught.value.verify_code == DANE_NO_MATCH


@pytest.mark.parametrize(("name", "good"), [(HOST, True), ("other.example", False)])
def test_authority_in_a_record(signed: World, tmp_path: Path, name: str, good: bool) -> None:
    """Usage 2: any certificate of that authority with the base domain as its name (section 10.2)."""
    root = make_identity("Own Authority", authority=True, san=())
    leaf = make_identity(name, issuer=root)
    context = prepared(signed, record(leaf, Usage.DANE_TA, position=1))
    pair = Pair.of(context, stock_server(tmp_path, leaf), host=HOST)
    if good:
        assert pair.shake() == (True, True)
        assert pair.near.getpeercert()["subjectAltName"] == (("DNS", HOST),)
    else:
        with pytest.raises(TLSCertificateRefused):
            pair.shake()


@pytest.mark.parametrize("trusted", [True, False])
def test_public_authorities_beside_the_record(signed: World, tmp_path: Path, trusted: bool) -> None:
    """Usage 1: the key of the record, and a chain to an authority this client trusts."""
    leaf = make_identity(HOST, issuer=authority())
    context = prepared(signed, record(leaf, Usage.PKIX_EE))
    if trusted:
        context.load_verify_locations(cadata=authority().chain[0])
    pair = Pair.of(context, stock_server(tmp_path, leaf), host=HOST)
    if trusted:
        assert pair.shake() == (True, True)
    else:
        with pytest.raises(TLSCertificateRefused):
            pair.shake()


def test_secure_alias_is_the_name_that_is_sent_and_checked(signed: World, tmp_path: Path) -> None:
    """OP-18, OP-19."""
    organisation = signed.organisation("cars.example")
    root = make_identity("Own Authority", authority=True, san=())
    leaf = make_identity("node7.cars.example", issuer=root)
    organisation.cname("www.cars.example", "node7.cars.example")
    organisation.address("node7.cars.example", "127.0.0.1")
    organisation.replace(f"_{PORT}._tcp.node7.cars.example", record(leaf, Usage.DANE_TA, position=1))
    context = Context.client(resolver=signed.resolver(), server_tlsa="require")
    assert asyncio.run(context.prepare("www.cars.example", PORT)).base_domain == "node7.cars.example"
    far = stock_server(tmp_path, leaf)
    seen: list[str | None] = []
    far.sni_callback = lambda _made, name, _context: seen.append(name)
    pair = Pair.of(context, far, host="www.cars.example")
    assert pair.shake() == (True, True)
    assert seen == ["node7.cars.example"]
    assert pair.near.server_hostname == "www.cars.example"


def test_raw_key_of_a_server(signed: World) -> None:
    """RFC 7250 for the server, where a `3 1 x` record makes it possible; X.509 servers keep working."""
    own = Credential.generate("door.cars.example", now=0, kind="raw")
    far = Context.server(own, authenticator=door().authenticator, policy="optional")
    pair = Pair.of(prepared(signed, own.tlsa()), far, host=HOST)
    assert pair.shake() == (True, True)
    assert pair.near.getpeercert() is None
    assert pair.near.shim.peer_raw_public_key() == own.spki
    assert pair.near.server_tlsa() == own.tlsa()
    other = Credential.generate("door.cars.example", now=0, kind="raw")
    wrong = Pair.of(prepared(signed, other.tlsa()), far, host=HOST)
    with pytest.raises(TLSCertificateRefused):
        wrong.shake()


def test_evidence_ends(signed: World, tmp_path: Path) -> None:
    moment = [signed.now()]
    identity = make_identity(HOST)
    context = prepared(signed, record(identity), clock=lambda: moment[0])
    far = stock_server(tmp_path, identity)
    assert Pair.of(context, far, host=HOST).shake() == (True, True)
    moment[0] += 3
    with pytest.raises(TLSUndecided) as caught:
        Pair.of(context, far, host=HOST).shake()
    assert caught.value.reason is Reason.INDETERMINATE
    context.prepare_blocking(HOST, PORT)


def test_host_that_was_not_prepared(signed: World, tmp_path: Path) -> None:
    identity = make_identity(HOST)
    context = prepared(signed, record(identity))
    with pytest.raises(TLSUndecided):
        Pair.of(context, stock_server(tmp_path, identity), host="other.cars.example").shake()


def test_no_records(signed: World) -> None:
    signed.organisation("cars.example").address("bare.cars.example", "127.0.0.1")
    context = Context.client(resolver=signed.resolver(), server_tlsa="require")
    with pytest.raises(TLSRefused) as caught:
        asyncio.run(context.prepare("bare.cars.example", PORT))
    assert caught.value.reason is Reason.NO_TLSA


def test_unsigned_zone(signed: World) -> None:
    organisation = signed.organisation("unsigned.example", signed=False)
    organisation.address("www.unsigned.example", "127.0.0.1")
    organisation.replace(f"_{PORT}._tcp.www.unsigned.example", record(make_identity("x")))
    context = Context.client(resolver=signed.resolver(), server_tlsa="require")
    with pytest.raises(TLSRefused) as caught:
        context.prepare_blocking("www.unsigned.example", PORT)
    assert caught.value.reason is Reason.INSECURE


def test_forged_zone(signed: World) -> None:
    from dnsbound.testing import Fault

    organisation = signed.organisation("forged.example")
    organisation.address("www.forged.example", "127.0.0.1")
    organisation.replace(f"_{PORT}._tcp.www.forged.example", record(make_identity("x")))
    organisation.fault(Fault.BOGUS)
    context = Context.client(resolver=signed.resolver(), server_tlsa="require")
    with pytest.raises(TLSUndecided) as caught:
        context.prepare_blocking("www.forged.example", PORT)
    assert caught.value.reason is Reason.BOGUS


def test_sessions_do_not_bypass_the_records(signed: World, tmp_path: Path) -> None:
    identity = make_identity(HOST)
    context = prepared(signed, record(identity))
    pair = Pair.of(context, stock_server(tmp_path, identity), host=HOST)
    pair.shake()
    pair.far.write(b"x")
    pair.near.read(1)
    assert pair.near.session is not None
    with pytest.raises(TLSMisuse):
        Pair.of(context, stock_server(tmp_path, identity), host=HOST, session=pair.near.session)


def test_httpx_with_a_prepared_context(signed: World, own: Credential, files: Callable[[str], Files]) -> None:
    """A certificate of nobody's authority, and a library that knows nothing of all this."""
    its = files("unknown authority")
    from dnsbound.credential.credential import certificates_from_pem

    leaf = certificates_from_pem(its.certificate.read_bytes())[0]
    with hypercorn_server(its) as port:
        organisation = signed.organisation("cars.example")
        organisation.address("localhost.cars.example", "127.0.0.1")
        organisation.replace(f"_{port}._tcp.localhost.cars.example", tlsa_for_certificate(leaf, *(3, 1, 1)))
        context = Context.client(own, resolver=signed.resolver(), server_tlsa="require")
        context.prepare_blocking("localhost.cars.example", port)
        with httpx.Client(verify=context, transport=None) as client:
            reply = client.get(f"https://127.0.0.1:{port}/x", extensions={"sni_hostname": "localhost.cars.example"})
            assert reply.content == b"/x"


def test_one_context_in_many_threads(signed: World, tmp_path: Path) -> None:
    identity = make_identity(HOST)
    context = prepared(signed, record(identity))
    far = stock_server(tmp_path, identity)
    done: list[tuple[bool, bool]] = []
    threads = [threading.Thread(target=lambda: done.append(Pair.of(context, far, host=HOST).shake())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert done == [(True, True)] * 8


def test_socket_form(signed: World, tmp_path: Path) -> None:
    near, far = socket.socketpair()
    with near, far:
        context = prepared(signed, record(make_identity("x")))
        far.close()
        with pytest.raises(OSError):  # noqa: PT011 (the peer is gone: which error it is depends on the moment)
            context.wrap_socket(near, server_hostname=HOST)
