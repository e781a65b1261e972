"""EAP-TLS from the first identity to the keys: our server and our peer, over every version, credential and size."""

import ssl
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.edge.context import Context
from dnsbound.edge.eap_connection import served_eap_tls
from dnsbound.errors import Misuse, Reason, Refused
from dnsbound.iana import AlertDescription, EapCode, EapType
from dnsbound.protocols.eap import EapPacket
from dnsbound.protocols.eap_peer import EapPeer
from dnsbound.protocols.eap_server import EapServer, ServerTls, Stage
from dnsbound.testing import World
from dnsbound.tls.errors import TLSAlertReceived, TLSCertificateRefused, TLSMisuse, TLSSignerFailed
from dnsbound.tls.fed_transport import FedTransport
from dnsbound.verify.claim import Claim, NameSource
from dnsbound.verify.peer import VerifiedPeer
from machines.chain_pairs import HOST, OWNER, PORT, ZONE, record
from machines.eap_pairs import BOTH, IDENTITY, SOURCE, VERSIONS, Conversation, network, supplicant, tls_of
from machines.native_pairs import SERVER, Identity, authority, make_identity
from machines.shim_pairs import NAME, Doorkeeper, credential, door, evidence, web_credential
from unit.signers import Hardware


@pytest.mark.parametrize("version", VERSIONS)
def test_a_peer_is_in_and_both_ends_have_the_same_keys(version: str) -> None:
    talk = Conversation(supplicant(version=version), network())
    accepted, done = talk.accepted()
    assert accepted.keys == done.keys
    assert (len(done.keys.msk), len(done.keys.emsk)) == (64, 64)
    assert (accepted.tls_version, done.tls_version) == (version, version)
    assert accepted.peer.name.text == NAME
    assert [(claim.name_source, claim.source) for claim in talk.claims] == [(NameSource.EXTENSION, SOURCE)]
    assert talk.server.identity == IDENTITY
    assert talk.server.round_trips == len(talk.requests) - 1


@cache
def rsa() -> Credential:
    return credential(kind="rsa4096")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("packet_octets", [100, 101, 127, 200, 255, 256, 500, 1000, 1400])
def test_et_02_every_size_of_fragments_and_rsa_of_4096_bits(packet_octets: int, version: str) -> None:
    talk = Conversation(supplicant(rsa(), version=version), network(), fragment_octets=packet_octets)
    accepted, done = talk.accepted()
    assert accepted.keys == done.keys
    assert max(map(len, talk.requests + talk.responses)) <= packet_octets
    if packet_octets < 1000:
        assert any(tls_of(eap).more for eap in talk.requests[2:-1])
        assert any(tls_of(eap).more for eap in talk.responses[1:])


def test_et_01_the_start_is_empty_and_the_only_one() -> None:
    talk = Conversation(supplicant(), network())
    talk.accepted()
    assert EapPacket.from_wire(talk.requests[1]).data == b"\x20"
    assert [tls_of(eap).start for eap in talk.requests[2:-1] + talk.responses[1:]].count(True) == 0


def test_eap_05_every_request_has_the_next_identifier_and_every_response_its_requests() -> None:
    talk = Conversation(supplicant(rsa()), network(), fragment_octets=100)
    talk.accepted()
    requests = [EapPacket.from_wire(eap) for eap in talk.requests]
    responses = [EapPacket.from_wire(eap) for eap in talk.responses]
    assert len(requests) > 60
    assert [packet.identifier for packet in requests[:-1]] == [number & 0xFF for number in range(1, len(requests))]
    assert [packet.identifier for packet in responses] == [packet.identifier for packet in requests[:-1]]
    # EAP-Success has that of the response it answers (RFC 3748 section 4.2).
    assert (requests[-1].code, requests[-1].identifier) == (EapCode.SUCCESS, responses[-1].identifier)


def test_eap_08_the_identity_is_asked_for_and_kept() -> None:
    talk = Conversation(supplicant(), network(), identity=b"")
    talk.accepted()
    assert EapPacket.from_wire(talk.requests[0]) == EapPacket.request(1, EapType.IDENTITY)
    assert EapPacket.from_wire(talk.responses[0]) == EapPacket.response(1, EapType.IDENTITY)
    assert talk.server.identity == b""


# --- who the peer is


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["p256", "p384", "ed25519", "rsa2048"])
def test_certificates_of_every_kind(kind: str, version: str) -> None:
    accepted, _ = Conversation(supplicant(credential(kind=kind), version=version), network()).accepted()
    assert accepted.peer.name.text == NAME


@pytest.mark.parametrize("version", VERSIONS)
def test_a_raw_public_key(version: str) -> None:
    own = credential()
    talk = Conversation(supplicant(own, version=version, raw_public_key=True), network(show_raw_public_key=True))
    accepted, done = talk.accepted()
    assert accepted.keys == done.keys
    assert talk.claims[0].presented.raw_public_key == own.spki
    certificates = Conversation(supplicant(own, version=version), network())
    certificates.accepted()
    assert sum(map(len, talk.responses)) < sum(map(len, certificates.responses))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_supplicant_that_nobody_changed_is_known_by_its_certificate(version: str) -> None:
    """It sends no dane_clientid: here, since it has another code point for it."""
    near = supplicant(credential(), version=version, clientid=0xFF77)
    talk = Conversation(near, network())
    talk.accepted()
    assert [(claim.name.text, claim.name_source) for claim in talk.claims] == [(NAME, NameSource.SAN)]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "identity", [b"car54._device.cars.example", b"car54._device.cars.example@isp.example", b"\xff\x00"]
)
def test_et_10_the_identity_is_nobodys_name(identity: bytes, version: str) -> None:
    """Who calls itself car54 and has the key of car77 is car77, for better or worse."""
    seen: list[Claim] = []

    def only_car54(claim: Claim) -> VerifiedPeer:
        seen.append(claim)
        if claim.name.text != NAME:
            raise Refused(Reason.NOT_PERMITTED)
        return evidence(claim)

    other = credential("car77._device.cars.example")
    for near in (supplicant(other, version=version), supplicant(other, version=version, clientid=0xFF77)):
        talk = Conversation(near, network(), judge=only_car54, identity=identity)
        rejected, _ = talk.rejected()
        assert talk.server.identity == identity
        assert isinstance(rejected.verdict, Refused)
        assert rejected.verdict.reason is Reason.NOT_PERMITTED
    assert {claim.name.text for claim in seen} == {"car77._device.cars.example"}


def nobody(version: str = "TLSv1.3") -> Context:
    """A client without a credential."""
    made = Context.client()
    made.load_verify_locations(cadata=authority().chain[0])
    made.maximum_version = ssl.TLSVersion.TLSv1_3 if version == "TLSv1.3" else ssl.TLSVersion.TLSv1_2
    return made


@pytest.mark.parametrize("version", VERSIONS)
def test_et_11_a_peer_without_a_certificate_is_refused(version: str) -> None:
    talk = Conversation(nobody(version), network())
    rejected, failed = talk.rejected()
    assert talk.claims == []
    assert talk.server.tls_version == version
    assert isinstance(rejected.verdict, Refused)
    assert rejected.verdict.reason is Reason.NO_CREDENTIAL
    assert isinstance(failed.reason, TLSAlertReceived)
    assert failed.reason.alert_received == AlertDescription.HANDSHAKE_FAILURE


def test_eap_admits_nobody_unauthenticated() -> None:
    """An optional door lets in who claims nothing; EAP has no use for that, and says so before anybody comes."""
    with pytest.raises(TLSMisuse):
        served_eap_tls(door(policy="optional"))


def test_an_optional_shim_admits_nobody_either() -> None:
    far = network(policy="optional", ask="always")
    talk = Conversation(nobody(), far)
    talk.server = EapServer(lambda: opened(far))
    rejected, _ = talk.rejected()
    assert isinstance(rejected.verdict, Refused)
    assert rejected.verdict.reason is Reason.NO_CREDENTIAL


def opened(far: Context) -> ServerTls:
    transport = FedTransport()
    return ServerTls(shim=far.server_shim(transport, source=SOURCE), transport=transport)


# --- who the server is


@pytest.mark.parametrize("version", VERSIONS)
def test_et_14_a_server_no_authority_vouches_for_is_told_so(version: str) -> None:
    stranger = web_credential(make_identity(SERVER))
    far = Context.server(stranger, authenticator=Doorkeeper(), profiles=("ca13", "cid07"))
    talk = Conversation(supplicant(version=version), far)
    rejected, failed = talk.rejected()
    assert isinstance(failed.reason, TLSCertificateRefused)
    assert isinstance(rejected.verdict, TLSAlertReceived)
    assert talk.claims == []


def test_et_14_a_server_of_another_name_is_refused() -> None:
    _, failed = Conversation(supplicant(), network(), host="other.example").rejected()
    assert isinstance(failed.reason, TLSCertificateRefused)


def test_et_14_a_server_may_be_known_by_its_tlsa_record(signed: World, stranger: Identity) -> None:
    """No authority knows this server; its record does, also when it shows a bare key."""
    signed.organisation(ZONE).replace(OWNER, record(stranger))
    near = supplicant(server_tlsa="require", resolver=signed.resolver(), clock=signed.now)
    near.prepare_blocking(HOST, PORT)
    for bare in (False, True):
        far = Context.server(web_credential(stranger), authenticator=Doorkeeper(), show_raw_public_key=bare)
        talk = Conversation(near, far, host=HOST)
        talk.accepted()
    _, failed = Conversation(near, network(), host=HOST).rejected()
    assert isinstance(failed.reason, TLSCertificateRefused)


# --- how it is used


def test_every_step_of_a_server_may_run_in_another_thread() -> None:
    """Where a key is elsewhere a signature takes its time; the packets of one conversation come one by one."""
    hardware = Hardware()
    far = Context.server(hardware.credential(SERVER), authenticator=Doorkeeper(), profiles=BOTH)
    talk = Conversation(trusting(), far)
    with ThreadPoolExecutor(2) as threads:
        receive = talk.server.receive
        talk.server.receive = lambda eap: threads.submit(receive, eap).result(60)  # type: ignore[method-assign]
        accepted, done = talk.accepted()
    assert accepted.keys == done.keys
    assert len(hardware.asked) == 1


def trusting() -> Context:
    """A supplicant that takes any server."""
    near = supplicant(danger_unverified_server=True)
    near.check_hostname, near.verify_mode = False, ssl.CERT_NONE
    return near


def test_a_servers_key_that_does_not_sign_is_no_fault_of_the_peer() -> None:
    hardware = Hardware()
    far = Context.server(hardware.credential(SERVER), authenticator=Doorkeeper(), profiles=BOTH)
    hardware.failure = OSError("the token was taken out")
    rejected, failed = Conversation(trusting(), far).rejected()
    assert isinstance(rejected.verdict, TLSSignerFailed)
    assert isinstance(failed.reason, TLSAlertReceived)
    assert failed.reason.alert_received == AlertDescription.INTERNAL_ERROR


def test_a_peers_key_that_does_not_sign_keeps_it_out() -> None:
    hardware = Hardware()
    own = hardware.credential()
    hardware.failure = OSError("the token was taken out")
    talk = Conversation(supplicant(own), network())
    rejected, failed = talk.rejected()
    assert isinstance(failed.reason, TLSSignerFailed)
    assert isinstance(rejected.verdict, TLSAlertReceived)
    assert talk.claims == []


def test_settling_what_is_not_asked_is_misuse() -> None:
    talk = Conversation(supplicant(), network())
    with pytest.raises(Misuse):
        talk.server.settle(Refused(Reason.NOT_PERMITTED))
    talk.accepted()
    with pytest.raises(Misuse):
        talk.server.settle(Refused(Reason.NOT_PERMITTED))
    with pytest.raises(Misuse):
        talk.server.begin()


def test_evidence_for_another_claim_admits_nobody() -> None:
    other = Conversation(supplicant(credential("car77._device.cars.example")), network()).judging()
    talk = Conversation(supplicant(), network())
    talk.judging()
    with pytest.raises(Misuse):
        talk.server.settle(evidence(other))
    assert talk.server.stage is Stage.JUDGING
    assert talk.server.verdict is None


def test_an_identity_that_fits_no_radius_packet_is_misuse() -> None:
    with pytest.raises(Misuse):
        EapPeer(b"x" * 254, lambda: pytest.fail("nothing is opened"))
