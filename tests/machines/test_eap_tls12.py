"""EAP-TLS over TLS 1.2: the flight that waits for the verdict, and what TLS 1.2 could do and here does not."""

import ssl

import pytest

from dnsbound._native import Config
from dnsbound.errors import Reason, Refused
from dnsbound.iana import AlertDescription
from dnsbound.protocols.eap_peer import PeerDone, PeerIgnored, PeerReply, PeerStage
from dnsbound.protocols.eap_server import Accepted, Reply, Stage
from dnsbound.protocols.eap_tls_framing import EMPTY
from dnsbound.tls.errors import TLSPeerError
from machines.eap_pairs import VERSIONS, Conversation, network, supplicant, tls_of
from machines.eap_scripts import WHOLE

CHANGE_CIPHER_SPEC, HANDSHAKE = 20, 22


def test_et_08_our_finished_waits_for_the_verdict_and_success_for_the_peers_answer() -> None:
    talk = Conversation(supplicant(version="TLSv1.2"), network(), fragment_octets=WHOLE)
    claim = talk.judging()
    assert talk.server._tls is not None
    assert talk.server._tls.transport.take() == b""
    last = talk.server.settle(talk.judge(claim))
    assert isinstance(last, Reply)
    flight = tls_of(last.eap).data
    assert flight[:6] == bytes((CHANGE_CIPHER_SPEC, 3, 3, 0, 1, 1))
    assert flight[6] == HANDSHAKE
    assert talk.server.stage is Stage.PROVEN
    heard = talk.peer.receive(last.eap)
    assert isinstance(heard, PeerReply)
    assert tls_of(heard.eap) == EMPTY
    accepted = talk.server.receive(heard.eap)
    assert isinstance(accepted, Accepted)
    assert isinstance(talk.peer.receive(accepted.eap), PeerDone)


def test_et_08_a_refused_peer_never_sees_our_finished() -> None:
    talk = Conversation(supplicant(version="TLSv1.2"), network(), fragment_octets=WHOLE)
    talk.judging()
    alert = talk.server.settle(Refused(Reason.NO_TLSA))
    assert isinstance(alert, Reply)
    assert tls_of(alert.eap).data == bytes((21, 3, 3, 0, 2, 2, 40))
    assert isinstance(talk.peer.receive(alert.eap), PeerReply)
    assert talk.peer.stage is PeerStage.FAILING
    assert isinstance(talk.peer.receive(bytes((3, alert.eap[1], 0, 4))), PeerIgnored)


def test_et_08_as_few_round_trips_as_can_be() -> None:
    """Identity, Start, our flight, our Finished; in TLS 1.3 the last is the success indication."""
    for version in VERSIONS:
        talk = Conversation(supplicant(version=version), network(), fragment_octets=WHOLE)
        talk.accepted()
        assert talk.server.round_trips == 4


@pytest.mark.parametrize("option", [ssl.OP_NO_RENEGOTIATION, ssl.OP_NO_COMPRESSION])
def test_et_12_renegotiation_and_compression_cannot_be_switched_on(option: ssl.Options) -> None:
    for server_side in (False, True):
        assert Config(server_side=server_side).set_options(set_bits=0, clear_bits=option) & option
    talk = Conversation(supplicant(version="TLSv1.2"), network())
    talk.judging()
    assert talk.server._tls is not None
    assert talk.server._tls.shim.compression() is None


def test_et_13_tls_1_2_resumes_nothing() -> None:
    far = network(ticket_lifetime=300)
    near = supplicant(version="TLSv1.2")
    for _ in range(2):
        accepted, done = Conversation(near, far).accepted()
        assert (accepted.resumed, done.resumed, done.session) == (False, False, None)


def test_et13_01_the_newer_version_is_chosen_where_both_have_it() -> None:
    near = supplicant(version="TLSv1.2")
    near.maximum_version = ssl.TLSVersion.TLSv1_3
    accepted, _ = Conversation(near, network()).accepted()
    assert accepted.tls_version == "TLSv1.3"


def test_et13_01_a_door_of_tls_1_3_alone_refuses_an_older_peer() -> None:
    talk = Conversation(supplicant(version="TLSv1.2", clientid=0xFF77), network(profiles=("ca13",)))
    rejected, _ = talk.rejected()
    assert isinstance(rejected.verdict, TLSPeerError)
    assert rejected.verdict.alert_sent == AlertDescription.PROTOCOL_VERSION
    assert talk.claims == []
