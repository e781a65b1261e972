"""The DNSSEC chain that a client carries to a door, through Contexts."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from dnsbound import Authenticator, Reason
from dnsbound.dns.answer import Provenance
from dnsbound.edge.chain_source import ChainSource, FixedChain
from dnsbound.edge.context import Context
from dnsbound.edge.latest_time import LatestTime
from dnsbound.errors import Undecided
from dnsbound.iana import CARRIED_CHAIN
from dnsbound.testing import World
from dnsbound.verify.access import AccessList
from dnsbound.verify.carried import CarriedChains
from machines.chain_pairs import ZONE
from machines.shim_pairs import Doorkeeper, Pair, client, credential, door, stock_client, web_credential


def carrying(source: ChainSource | None, **options: Any) -> Context:
    return client(credential(), carry_chain=source, **options)


class TakingKeeper(Doorkeeper):
    takes_carried_chains = True


def test_a_carried_chain_is_part_of_the_claim() -> None:
    pair = Pair.of(carrying(FixedChain(b"octets")), door(TakingKeeper()))
    assert pair.shake() == (True, False)
    assert pair.far.pending_claim.carried_chain == b"octets"


def test_a_door_that_takes_none_does_not_ask() -> None:
    pair = Pair.of(carrying(FixedChain(b"octets")), door(Doorkeeper()))
    assert pair.shake() == (True, False)
    assert pair.far.pending_claim.carried_chain is None
    assert not pair.near.shim._connection.carried_chain_requested()


@pytest.mark.parametrize("source", [None, FixedChain(b"")])
def test_a_client_with_no_chain_says_nothing(source: ChainSource | None) -> None:
    pair = Pair.of(carrying(source), door(TakingKeeper()))
    assert pair.shake() == (True, False)
    assert pair.far.pending_claim.carried_chain is None


def test_other_clients_are_served_by_a_door_that_takes_chains() -> None:
    pair = Pair.of(stock_client(), door(TakingKeeper(), policy="optional", ask="always"))
    assert pair.shake() == (True, True)


def test_both_ends_may_speak_another_code_point() -> None:
    near = carrying(FixedChain(b"octets"), carried_chain=CARRIED_CHAIN + 1)
    pair = Pair.of(near, door(TakingKeeper()))
    pair.shake()
    assert pair.far.pending_claim.carried_chain is None
    pair = Pair.of(near, door(TakingKeeper(), carried_chain=CARRIED_CHAIN + 1))
    pair.shake()
    assert pair.far.pending_claim.carried_chain == b"octets"


@pytest.mark.parametrize("raw", [False, True])
def test_a_door_with_nothing_but_an_anchor_and_a_clock_admits(signed: World, tmp_path: Path, *, raw: bool) -> None:
    device = signed.organisation(ZONE).device("car54-raw" if raw else "car54")
    name, own = str(device.name), device.credential.as_raw_key() if raw else device.credential
    offline = Authenticator(
        AccessList.allowing("api", ["*._device.cars.example"]),
        None,
        door="api",
        clock=signed.now,
        carried_chains=CarriedChains(["*._device.cars.example"], anchors=signed.anchors),
        latest_time=LatestTime(tmp_path / "latest"),
    )
    far = Context.server(web_credential(), authenticator=offline)
    chain = FixedChain(signed.chain(name).octets)
    before = len(signed.queries)
    pair = Pair.of(client(own, carry_chain=chain), far)
    assert pair.shake() == (True, False)
    peer = offline.authenticate_blocking(pair.far.pending_claim)
    pair.far.shim.admit(peer)
    pair.far.do_handshake()
    assert (peer.name.text, peer.provenance) == (name, Provenance.CARRIED)
    assert pair.far.verified_peer() == peer
    assert len(signed.queries) == before
    without = Pair.of(client(own), far)
    assert without.shake() == (True, False)
    with pytest.raises(Undecided) as caught:
        offline.authenticate_blocking(without.far.pending_claim)
    assert caught.value.reason is Reason.DNS_FAILED


@pytest.mark.parametrize("chain", [None, b"octets"])
def test_a_client_that_is_asked_late_carries_its_chain_then(chain: bytes | None) -> None:
    """It did not signal, so the optional door left it alone in the handshake."""
    source = None if chain is None else FixedChain(chain)
    near = carrying(source, request_signal=None)
    near.post_handshake_auth = True
    pair = Pair.of(near, door(TakingKeeper(), policy="optional", post_handshake=True))
    assert pair.shake() == (True, True)
    assert pair.far.verified_peer() is None
    pair.far.verify_client_post_handshake()
    for end in (pair.near, pair.far):
        with pytest.raises(ssl.SSLWantReadError):
            end.read(1)
    assert pair.far.shim.late_claim().carried_chain == chain


def test_a_client_that_signals_is_asked_in_the_handshake_of_a_door_that_may_ask_late() -> None:
    near = carrying(FixedChain(b"octets"))
    near.post_handshake_auth = True
    pair = Pair.of(near, door(TakingKeeper(), policy="optional", post_handshake=True))
    assert pair.shake() == (True, False)
    assert pair.far.pending_claim.carried_chain == b"octets"
