"""The request signal through Contexts: who says it, whom a door asks, and what an optional door makes of both."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from dnsbound import Reason
from dnsbound.credential.credential import Credential
from dnsbound.edge.chain_source import FixedChain
from dnsbound.edge.context import Context
from dnsbound.edge.context_chain import ChainRequest, ServedChain
from dnsbound.iana import (
    CARRIED_CHAIN,
    DANE_CLIENTID,
    DNSSEC_CHAIN,
    REQUEST_CLIENT_AUTH,
    TLS_FLAGS,
    TLS_FLAGS_PROTOTYPE,
)
from dnsbound.tls.errors import TLSMisuse
from dnsbound.tls.flags import RequestSignal
from dnsbound.tls.server_shim import Authentication
from machines.native_hostile_server import client_hello_extensions
from machines.native_pairs import SERVER, authority, client_identity
from machines.shim_pairs import NAME, Pair, client, credential, door, stock_client, web_credential

PROTOTYPE = RequestSignal(TLS_FLAGS_PROTOTYPE, REQUEST_CLIENT_AUTH)


def hello_of(context: ssl.SSLContext) -> dict[int, bytes]:
    outgoing = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=SERVER).do_handshake()
    return client_hello_extensions(outgoing.read())


def asked(near: ssl.SSLContext, far: Context) -> Pair:
    pair = Pair.of(near, far)
    pair.shake()
    return pair


def stock_with_certificate(directory: Path) -> ssl.SSLContext:
    own, context = credential(), stock_client()
    file = directory / "own.pem"
    file.write_bytes(own.to_pem())
    context.load_cert_chain(file)
    return context


# --- the client


def test_fl_07_only_a_client_with_a_credential_signals() -> None:
    assert TLS_FLAGS not in hello_of(client())
    assert hello_of(client(credential()))[TLS_FLAGS] == RequestSignal().to_wire()
    assert TLS_FLAGS in hello_of(client(credential().as_raw_key()))
    assert TLS_FLAGS in hello_of(client(credential(None)))


def test_fl_07_a_certificate_loaded_as_ssl_does_is_one(tmp_path: Path) -> None:
    context = client()
    file = tmp_path / "own.pem"
    file.write_bytes(credential().to_pem())
    context.load_cert_chain(file)
    assert TLS_FLAGS in hello_of(context)


class Touched:
    """A key that signs when somebody touches its token."""

    needs_human = True

    def __init__(self, signer: Any) -> None:
        self.spki, self.schemes, self.sign = signer.spki, signer.schemes, signer.sign


def test_fl_07_a_key_that_needs_a_person_is_not_offered_but_answers_when_asked() -> None:
    own = credential()
    near = client(Credential(own.name, None, own.chain, signer=Touched(own.signer)))
    assert TLS_FLAGS not in hello_of(near)
    assert Pair.of(near, door(policy="optional")).shake() == (True, True)
    assert asked(near, door()).far.pending_claim.name.text == NAME


def test_a_client_may_keep_quiet_and_is_not_asked() -> None:
    near = client(credential(), request_signal=None)
    assert not {TLS_FLAGS, TLS_FLAGS_PROTOTYPE} & set(hello_of(near))
    pair = Pair.of(near, door(policy="optional"))
    assert pair.shake() == (True, True)
    assert pair.far.authentication is Authentication.UNAUTHENTICATED


def test_no_signal_in_a_hello_without_tls_1_3() -> None:
    """The extension is TLS 1.3's (section 2); a client that says no name may be held below."""
    near = client(credential(None))
    near.maximum_version = ssl.TLSVersion.TLSv1_2
    assert TLS_FLAGS not in hello_of(near)


@pytest.mark.parametrize("signal", [PROTOTYPE, RequestSignal(flag=1234)])
def test_other_code_points(signal: RequestSignal) -> None:
    near = client(credential(), request_signal=signal)
    assert hello_of(near)[signal.extension_type] == signal.to_wire()
    assert asked(near, door(policy="optional", request_signal=signal)).far.pending_claim.name.text == NAME


# --- the door


@pytest.mark.parametrize("signal", [RequestSignal(), PROTOTYPE])
def test_fl_04_an_optional_door_asks_who_signals_by_either_code_point(signal: RequestSignal) -> None:
    pair = asked(client(credential(), request_signal=signal), door(policy="optional"))
    assert pair.far.pending_claim.name.text == NAME
    pair.admit()
    assert pair.far.verified_peer().name.text == NAME


def test_fl_05_who_does_not_signal_is_let_in_unauthenticated_whatever_it_has(tmp_path: Path) -> None:
    pair = Pair.of(stock_with_certificate(tmp_path), door(policy="optional"))
    assert pair.shake() == (True, True)
    assert pair.far.verified_peer() is None
    assert pair.far.authentication is Authentication.UNAUTHENTICATED
    assert pair.far.getpeercert(binary_form=True) is None
    pair.near.write(b"hello")
    assert pair.far.read(10) == b"hello"


def test_ask_always_is_what_optional_would_be_without_the_signal(tmp_path: Path) -> None:
    pair = asked(stock_with_certificate(tmp_path), door(policy="optional", ask="always"))
    assert pair.far.pending_claim.name.text == NAME
    nobody = Pair.of(stock_client(), door(policy="optional", ask="always"))
    assert nobody.shake() == (True, True)
    assert nobody.far.authentication is Authentication.UNAUTHENTICATED


def test_a_door_that_requires_a_claim_asks_everybody(tmp_path: Path) -> None:
    assert asked(stock_with_certificate(tmp_path), door()).far.pending_claim.name.text == NAME
    assert asked(client(credential(), request_signal=None), door(request_signal=None)).far.pending_claim is not None


def test_an_optional_door_that_knows_one_code_point_passes_over_the_other() -> None:
    far = door(policy="optional", request_signal=PROTOTYPE)
    pair = Pair.of(client(credential()), far)
    assert pair.shake() == (True, True)
    assert pair.far.authentication is Authentication.UNAUTHENTICATED


def test_a_claim_that_fails_is_refused_at_an_optional_door_too() -> None:
    near = client(credential(None, san=("a.example", "b.example")))
    pair = Pair.of(near, door(policy="optional"))
    with pytest.raises(ssl.SSLError) as refused:
        pair.shake()
    assert getattr(refused.value, "reason", None) is Reason.AMBIGUOUS_NAME


def test_an_ordinary_server_that_verifies_asks_as_ssl_does() -> None:
    far = Context(ssl.PROTOCOL_TLS_SERVER)
    far._set(credential=client(web_credential())._settings.credential)
    far.load_verify_locations(cadata=authority().chain[0])
    far.verify_mode = ssl.CERT_REQUIRED
    pair = Pair.of(stock_client(), far)
    with pytest.raises(ssl.SSLError):
        pair.shake()


# --- arguments


@pytest.mark.parametrize(
    "options",
    [
        {"ask": "sometimes"},
        {"ask": "signalled"},
        {"policy": "optional", "request_signal": None},
        {"policy": "optional", "ask": "signalled", "request_signal": None},
        {"request_signal": []},
        {"request_signal": [RequestSignal(), RequestSignal(flag=1)]},
        {"request_signal": [RequestSignal(), PROTOTYPE, RequestSignal(0xFF77)]},
        {"request_signal": 62},
        {"request_signal": [62]},
    ],
    ids=str,
)
def test_arguments_that_mean_nothing(options: dict[str, Any]) -> None:
    with pytest.raises((TLSMisuse, TypeError)):
        door(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"clientid": CARRIED_CHAIN},
        {"carried_chain": DANE_CLIENTID},
        {"request_signal": RequestSignal(DANE_CLIENTID)},
        {"clientid": TLS_FLAGS},
        {"clientid": DNSSEC_CHAIN, "dnssec_chain": ServedChain(host=SERVER, port=1, source=FixedChain(b"x"))},
    ],
    ids=["carried-for-id", "id-for-carried", "id-for-flags", "flags-for-id", "chain-for-id"],
)
def test_one_code_point_for_two_extensions_is_refused_when_the_context_is_made(options: dict[str, Any]) -> None:
    with pytest.raises(TLSMisuse, match="one code point"):
        door(**options)
    options.pop("dnssec_chain", None)
    with pytest.raises(TLSMisuse, match="one code point"):
        client(credential(), carry_chain=FixedChain(b"x"), dnssec_chain=ChainRequest(), **options)


def test_the_engine_refuses_code_points_that_are_its_own() -> None:
    with pytest.raises(TLSMisuse):
        asked(client(client_credential(), request_signal=RequestSignal(13)), door())


def client_credential() -> Any:
    return web_credential(client_identity())
