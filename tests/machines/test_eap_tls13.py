"""What TLS 1.3 adds to EAP-TLS: the success indication, tickets, and what is left out of it (RFC 9190)."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dnsbound._native import TlsError
from dnsbound.errors import PeerError, Reason, Refused
from dnsbound.iana import AlertDescription, EapCode, EapType
from dnsbound.limits import TICKET_SECONDS
from dnsbound.protocols.eap import EapPacket
from dnsbound.protocols.eap_peer import PeerDone, PeerFailed, PeerIgnored, PeerReply, PeerStage
from dnsbound.protocols.eap_tls_framing import EMPTY
from dnsbound.tls.errors import TLSAlertReceived, TLSMisuse, TLSPeerError
from dnsbound.tls.session import Session
from dnsbound.wire import Reader
from machines.eap_pairs import Conversation, network, supplicant, tls_of
from machines.eap_scripts import WHOLE, ScriptedServer
from machines.hkdf import expand_label
from machines.shim_pairs import NAME, evidence, refusing

APPLICATION_DATA = 23


def finished(**options: int) -> ScriptedServer:
    """A server whose peer has sent its Finished, and waits."""
    server = ScriptedServer(supplicant(), network(**options))
    server.handshake()
    assert server.peer.stage is PeerStage.FINISHED
    return server


# --- the success indication


def test_et13_02_the_indication_follows_the_verdict_and_the_ticket() -> None:
    """One request after the peer's Finished, and nothing after it but Success (RFC 9190 section 2.5)."""
    for lifetime in (0, 300):
        talk = Conversation(supplicant(), network(ticket_lifetime=lifetime), fragment_octets=WHOLE)
        talk.accepted()
        assert [EapPacket.from_wire(eap).code for eap in talk.requests].count(EapCode.REQUEST) == 4
        records = records_of(tls_of(talk.requests[-2]).data)
        assert [kind for kind, _ in records] == [APPLICATION_DATA] * (2 if lifetime else 1)
        # One octet of data, one of type, sixteen of the seal.
        assert records[-1][1] == 18


def records_of(flight: bytes) -> list[tuple[int, int]]:
    """(type, octets) of each TLS record."""
    found = []
    while flight:
        length = int.from_bytes(flight[3:5], "big")
        found.append((flight[0], length))
        flight = flight[5 + length :]
    return found


def test_et13_02_nothing_is_said_before_the_verdict() -> None:
    talk = Conversation(supplicant(), network(ticket_lifetime=300))
    talk.judging()
    tls = talk.server._tls
    assert tls is not None
    assert tls.transport.take() == b""
    assert tls.shim._connection.pending_out() == 0


def test_et13_03_without_the_indication_there_is_no_success() -> None:
    server = finished()
    assert isinstance(server.end(EapCode.SUCCESS), PeerIgnored)
    server.admit()
    assert isinstance(server.say(server.sealed(b"\x00")), PeerReply)
    assert isinstance(server.end(EapCode.SUCCESS), PeerDone)


def test_et13_03_a_ticket_alone_is_acknowledged_and_no_success() -> None:
    server = finished(ticket_lifetime=300)
    ticket = server.admit()
    assert ticket
    heard = server.say(ticket)
    assert isinstance(heard, PeerReply)
    assert tls_of(heard.eap) == EMPTY
    assert server.peer.stage is PeerStage.FINISHED
    assert isinstance(server.end(EapCode.SUCCESS), PeerIgnored)
    assert isinstance(server.say(server.sealed(b"\x00")), PeerReply)
    done = server.end(EapCode.SUCCESS)
    assert isinstance(done, PeerDone)
    assert isinstance(done.session, Session)


@pytest.mark.parametrize("said", [[b"\x01"], [b"\x00\x00"], [b"\x00", b"\x00"], [b"\x00hello"], [b"hello"]], ids=repr)
def test_et13_03_other_application_data_is_an_error(said: list[bytes]) -> None:
    server = finished()
    server.admit()
    failed = server.say(b"".join(server.sealed(data) for data in said))
    assert isinstance(failed, PeerFailed)
    assert type(failed.reason) is PeerError
    assert isinstance(server.end(EapCode.SUCCESS), PeerIgnored)


def test_et13_03_the_indication_in_clear_is_none() -> None:
    server = finished()
    server.admit()
    heard = server.say(bytes((APPLICATION_DATA, 3, 3, 0, 1, 0)))
    assert isinstance(heard, PeerReply)
    assert server.peer.stage is PeerStage.FAILING
    failed = server.end(EapCode.FAILURE)
    assert isinstance(failed, PeerFailed)
    assert isinstance(failed.reason, TLSPeerError)


def test_et13_03_an_end_of_tls_is_no_success() -> None:
    server = finished()
    server.admit()
    server.tls.shim._connection.shutdown()
    failed = server.say(server.tls.shim._connection.drain())
    assert isinstance(failed, PeerFailed)
    assert type(failed.reason) is PeerError


def test_et13_02_an_indication_before_the_peers_finished_is_refused() -> None:
    """A server that cannot know yet whom it talks to has nothing to indicate."""
    server = ScriptedServer(supplicant(), network())
    heard = server.ask(EapType.TLS, b"\x20")
    assert isinstance(heard, PeerReply)
    server.tls.transport.feed(tls_of(heard.eap).data)
    with pytest.raises(OSError, match="did not complete"):
        server.tls.shim.do_handshake()
    flight = server.tls.transport.take()
    failed = server.say(flight + bytes((APPLICATION_DATA, 3, 3, 0, 18)) + bytes(18))
    assert isinstance(failed, PeerFailed)
    assert type(failed.reason) is PeerError


def test_et13_04_after_the_indication_a_failure_is_dropped() -> None:
    server = finished()
    server.admit()
    assert isinstance(server.say(server.sealed(b"\x00")), PeerReply)
    assert isinstance(server.end(EapCode.FAILURE), PeerIgnored)
    assert isinstance(server.end(EapCode.SUCCESS), PeerDone)


def test_et13_04_after_the_indication_there_are_no_more_requests() -> None:
    server = finished()
    server.admit()
    assert isinstance(server.say(server.sealed(b"\x00")), PeerReply)
    said = server.identifier
    assert isinstance(server.say(server.sealed(b"\x00")), PeerIgnored)
    server.identifier = said
    assert isinstance(server.end(EapCode.SUCCESS), PeerDone)


def test_et13_09_an_alert_is_a_failure_whatever_follows() -> None:
    server = finished()
    claim = server.tls.shim.pending_claim
    assert claim is not None
    server.tls.shim.refuse(Refused(Reason.NO_TLSA))
    heard = server.say(server.tls.transport.take())
    assert isinstance(heard, PeerReply)
    assert tls_of(heard.eap) == EMPTY
    assert isinstance(server.end(EapCode.SUCCESS), PeerIgnored)
    failed = server.end(EapCode.FAILURE)
    assert isinstance(failed, PeerFailed)
    assert isinstance(failed.reason, TLSAlertReceived)
    assert failed.reason.alert_received == AlertDescription.HANDSHAKE_FAILURE


# --- tickets


@pytest.mark.parametrize("raw", [False, True], ids=["certificate", "raw key"])
def test_et13_07_a_resumed_session_is_judged_again_and_has_keys_of_its_own(raw: bool) -> None:
    near, far = supplicant(raw_public_key=raw), network(ticket_lifetime=300)
    first, done = Conversation(near, far).accepted()
    assert (first.resumed, done.resumed) == (False, False)
    assert done.session is not None
    talk = Conversation(near, far, session=done.session)
    second, again = talk.accepted()
    assert (second.resumed, again.resumed) == (True, True)
    assert second.keys == again.keys
    assert not {second.keys.msk, second.keys.emsk, second.keys.session_id} & {
        first.keys.msk,
        first.keys.emsk,
        first.keys.session_id,
    }
    assert [claim.name.text for claim in talk.claims] == [NAME]
    assert second.peer.name.text == NAME


def test_et13_07_a_resumed_session_is_refused_like_any_other() -> None:
    near, far = supplicant(), network(ticket_lifetime=300)
    _, done = Conversation(near, far).accepted()
    talk = Conversation(near, far, session=done.session, judge=refusing(Reason.NO_TLSA))
    rejected, failed = talk.rejected()
    assert isinstance(rejected.verdict, Refused)
    assert rejected.verdict.reason is Reason.NO_TLSA
    assert isinstance(failed.reason, TLSAlertReceived)
    assert talk.server.resumed


def test_et13_07_the_evidence_decides_how_long_a_ticket_serves() -> None:
    """CA-32: none outlives it."""
    near, far = supplicant(), network(ticket_lifetime=300)
    _, done = Conversation(near, far, judge=lambda claim: evidence(claim, lasts=0.5)).accepted()
    assert done.session is None


def test_et13_06_no_ticket_for_who_is_refused_and_none_unless_asked_for() -> None:
    _, done = Conversation(supplicant(), network()).accepted()
    assert done.session is None
    near = supplicant()
    talk = Conversation(near, network(ticket_lifetime=300), judge=refusing(Reason.NOT_PERMITTED), fragment_octets=WHOLE)
    talk.rejected()
    assert len(records_of(tls_of(talk.requests[-2]).data)) == 1


def test_et13_06_a_ticket_lives_seven_days_at_most() -> None:
    assert TICKET_SECONDS.maximum == 604_800
    with pytest.raises(TLSMisuse):
        network(ticket_lifetime=604_801)


def test_et13_08_a_session_goes_back_to_where_it_came_from() -> None:
    near, far = supplicant(), network(ticket_lifetime=300)
    _, done = Conversation(near, far).accepted()
    with pytest.raises(TLSMisuse):
        Conversation(near, far, session=done.session, host="other.example").run()
    with pytest.raises(TLSMisuse):
        Conversation(supplicant(), far, session=done.session).run()


def test_et13_08_a_ticket_of_another_server_is_a_full_handshake() -> None:
    near = supplicant()
    _, done = Conversation(near, network(ticket_lifetime=300)).accepted()
    accepted, again = Conversation(near, network(ticket_lifetime=300), session=done.session).accepted()
    assert (accepted.resumed, again.resumed) == (False, False)


# --- what is left out


def test_et13_10_a_ticket_allows_no_early_data(tmp_path: Path) -> None:
    """Read from the wire: the NewSessionTicket has no extensions at all, early_data among them."""
    near, far = supplicant(), network(ticket_lifetime=300)
    far.keylog_filename = str(tmp_path / "secrets")
    talk = Conversation(near, far, fragment_octets=WHOLE)
    talk.accepted()
    flight = tls_of(talk.requests[-2]).data
    header, sealed = flight[:5], flight[5 : 5 + int.from_bytes(flight[3:5], "big")]
    secret = next(
        bytes.fromhex(line.split()[2])
        for line in (tmp_path / "secrets").read_text().splitlines()
        if line.startswith("SERVER_TRAFFIC_SECRET_0")
    )
    digest = {32: "sha256", 48: "sha384"}[len(secret)]
    key = expand_label(digest, secret, b"key", b"", 32 if digest == "sha384" else 16)
    # The first record under this key: the nonce is the iv itself.
    message = AESGCM(key).decrypt(expand_label(digest, secret, b"iv", b"", 12), sealed, header)
    reader = Reader(message.rstrip(b"\x00")[:-1], "NewSessionTicket")
    assert reader.uint(1) == 4
    with reader.block(3):
        assert reader.uint(4) <= 300
        reader.uint(4)
        assert reader.prefixed(1)
        assert reader.prefixed(2)
        assert reader.prefixed(2) == b""


def test_et13_15_no_keys_that_were_shared_before() -> None:
    for context in (supplicant(), network()):
        for setting in (context.set_psk_client_callback, context.set_psk_server_callback):
            with pytest.raises(TLSMisuse):
                setting(lambda *_: None)


def test_et13_11_nobody_can_be_asked_after_the_handshake() -> None:
    """Our peer does not offer it, and our doors for EAP do not ask."""
    server = finished()
    server.admit()
    with pytest.raises(TLSMisuse):
        server.tls.shim.ask_late()
    with pytest.raises(TlsError) as refused:
        server.tls.shim._connection.request_client_certificate()
    assert "extension not received" in refused.value.text


def test_et13_12_a_hello_retry_request() -> None:
    near, far = supplicant(), network()
    near.set_groups("P-256:X25519")
    far.set_groups("X25519")
    talk = Conversation(near, far, fragment_octets=WHOLE)
    accepted, done = talk.accepted()
    assert accepted.keys == done.keys
    # Hello, hello again, Finished, acknowledgement: one round trip more than otherwise.
    assert talk.server.round_trips == 5
