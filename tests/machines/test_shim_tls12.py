"""Doors and clients in the older profiles: TLS 1.2 (cid07), and answers that leave the name to the certificate.

draft-ietf-dance-tls-clientid-07 sections 2 and 3; draft-ietf-dance-client-auth-10 section 8; RFC 9846 section 4.2.3.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from adversary.hostile_client import ALERT, CHANGE_CIPHER_SPEC
from dnsbound import _native
from dnsbound.edge.context import Context
from dnsbound.errors import Misuse, Reason, Refused, Undecided
from dnsbound.iana import DANE_CLIENTID, AlertDescription
from dnsbound.tls.errors import TLSAlertReceived, TLSMisuse, TLSPeerError, TLSRefused, TLSUndecided
from dnsbound.tls.server_shim import Authentication
from dnsbound.verify.claim import NameSource, Presented, Proved
from machines.native_hellos import hello_extensions, with_extensions
from machines.native_pairs import SERVER, TLS12, TLS13, authority, make_identity
from machines.shim_pairs import (
    DOOR,
    NAME,
    Doorkeeper,
    Pair,
    client,
    credential,
    door,
    evidence,
    stock_client,
)
from machines.test_native_held_flight import record_types

SUPPORTED_VERSIONS = 43
OLD = ssl.TLSVersion.TLSv1_2


def old_client(own: Any = None, **options: Any) -> Context:
    """Says its name to this server in clear, and speaks nothing newer than TLS 1.2."""
    made = client(own or credential(), profiles=["cid07"], clear_name_to=[SERVER], **options)
    made.maximum_version = OLD
    return made


def cid07_door(keeper: Doorkeeper | None = None, **options: Any) -> Context:
    return door(keeper, profiles=["ca13", "cid07"], **options)


# --- the gate


@pytest.mark.parametrize("raw", [False, True])
def test_claim_over_tls_1_2(raw: bool) -> None:
    own = credential()
    pair = Pair.of(old_client(own, raw_public_key=raw), cid07_door())
    assert pair.shake() == (False, False), "the client waits for the flight that is held"
    claim = pair.far.pending_claim
    assert claim.name.text == NAME
    assert claim.name_source is NameSource.EXTENSION
    assert claim.presented == (Presented(raw_public_key=own.spki) if raw else Presented(chain=own.chain))
    assert isinstance(claim.possession, Proved)
    assert (claim.door, claim.protocol) == (DOOR, "TLSv1.2 cid07")
    assert pair.far.authentication is Authentication.PENDING


def test_nothing_leaves_before_the_verdict() -> None:
    pair = Pair.of(old_client(), cid07_door())
    pair.shake()
    assert pair.to_near.pending == 0
    for call in (lambda: pair.far.read(10), lambda: pair.far.write(b"x"), pair.far.do_handshake):
        with pytest.raises(ssl.SSLWantReadError):
            call()
    assert pair.to_near.pending == 0
    peer = pair.admit()
    assert pair.to_near.pending > 0
    pair.near.do_handshake()
    assert pair.near.version() == pair.far.version() == "TLSv1.2"
    pair.near.write(b"hello")
    assert pair.far.read(10) == b"hello"
    pair.far.write(b"welcome")
    assert pair.near.read(100) == b"welcome"
    assert pair.far.verified_peer() is peer
    assert pair.near.session is None, "no ticket, so no resumption without a verdict"


def test_the_flight_ends_with_finished_and_brings_no_ticket() -> None:
    pair = Pair.of(old_client(), cid07_door(ticket_lifetime=600))
    pair.shake()
    pair.admit()
    assert record_types(pair.to_near.read())[0] == CHANGE_CIPHER_SPEC
    assert pair.far.session_reused is False


@pytest.mark.parametrize("verdict", [Refused(Reason.NOT_PERMITTED), Undecided(Reason.DNS_FAILED)])
def test_a_refused_client_fails_its_handshake(verdict: Refused | Undecided) -> None:
    pair = Pair.of(old_client(), cid07_door())
    pair.shake()
    pair.far.shim.refuse(verdict)
    assert pair.to_near.pending == 7, "one alert in clear and nothing of the last flight"
    expected = TLSRefused if isinstance(verdict, Refused) else TLSUndecided
    for call in (pair.far.do_handshake, lambda: pair.far.read(10), lambda: pair.far.write(b"x")):
        with pytest.raises(expected) as caught:
            call()
        assert caught.value.reason is verdict.reason
    with pytest.raises(TLSAlertReceived) as alert:
        pair.near.do_handshake()
    assert alert.value.alert_received == AlertDescription.HANDSHAKE_FAILURE
    assert pair.near.version() is None


def test_admitted_and_then_cut() -> None:
    pair = Pair.of(old_client(), cid07_door())
    pair.shake()
    pair.admit()
    pair.near.do_handshake()
    pair.near.write(b"late")
    pair.far.shim.cut(Refused(Reason.NO_TLSA))
    with pytest.raises(TLSRefused) as caught:
        pair.far.read(10)
    assert caught.value.reason is Reason.NO_TLSA


def test_without_credential_over_tls_1_2() -> None:
    nobody = client()
    nobody.maximum_version = OLD
    keeper = Doorkeeper()
    pair = Pair.of(nobody, cid07_door(keeper))
    with pytest.raises(TLSRefused) as caught:
        pair.shake()
    assert caught.value.reason is Reason.NO_CREDENTIAL
    assert (keeper.asked, keeper.turned) == ([], [(Reason.NO_CREDENTIAL, "192.0.2.54")])
    with pytest.raises(TLSAlertReceived):
        pair.near.do_handshake()


def test_optional_door_lets_in_who_claims_nothing_over_tls_1_2() -> None:
    nobody = client()
    nobody.maximum_version = OLD
    pair = Pair.of(nobody, cid07_door(policy="optional"))
    assert pair.shake() == (True, True)
    assert pair.far.verified_peer() is None
    pair.near.write(b"hello")
    assert pair.far.read(10) == b"hello"


@pytest.mark.parametrize("cipher", ["AES128-GCM-SHA256", "AES256-SHA", "ECDHE-ECDSA-AES128-SHA"])
def test_ciphers_without_forward_secrecy_are_off(cipher: str) -> None:
    near = old_client()
    near.set_ciphers(cipher)
    pair = Pair.of(near, cid07_door())
    with pytest.raises(ssl.SSLError) as caught:
        pair.shake()
    assert caught.value.reason == "NO_SHARED_CIPHER"


@pytest.mark.parametrize(
    "cipher", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-SHA256"]
)
def test_ciphers_of_old_devices_are_on(cipher: str) -> None:
    near = old_client()
    near.set_ciphers(cipher)
    pair = Pair.of(near, cid07_door())
    pair.shake()
    pair.admit()
    pair.near.do_handshake()
    assert pair.near.cipher()[0] == cipher


def test_optional_door_asks_who_says_a_name_in_its_hello() -> None:
    """TLS 1.2 has no request flag; the extension is one as good."""
    pair = Pair.of(old_client(), cid07_door(policy="optional"))
    assert pair.shake() == (False, False)
    assert pair.far.pending_claim.name.text == NAME


def test_a_client_nobody_can_change_is_known_by_its_certificate() -> None:
    """Over TLS 1.2 as over TLS 1.3, where the door takes names from certificates."""
    own = client(credential(None, san=(NAME,)))
    own.maximum_version = OLD
    pair = Pair.of(own, cid07_door())
    pair.shake()
    claim = pair.far.pending_claim
    assert (claim.name.text, claim.name_source, claim.protocol) == (NAME, NameSource.SAN, "TLSv1.2")


@pytest.mark.parametrize("profiles", [["ca13"], ["ca10"], ["cid07"], ["ca13", "cid07"], ["ca10", "ca13"]])
def test_tls_1_3_says_which_profile(profiles: list[str]) -> None:
    pair = Pair.of(client(credential(), profiles=profiles), door(profiles=profiles))
    assert pair.shake() == (True, False)
    assert pair.far.pending_claim.protocol == f"TLSv1.3 {profiles[0]}"


def test_leg_01_the_server_answers_with_an_empty_extension() -> None:
    pair = Pair.of(old_client(), cid07_door())
    with pytest.raises(ssl.SSLWantReadError):
        pair.near.do_handshake()
    with pytest.raises(ssl.SSLWantReadError):
        pair.far.do_handshake()
    assert hello_extensions(pair.to_near.read())[DANE_CLIENTID] == b""


def test_leg_02_the_client_says_its_name_in_its_hello() -> None:
    pair = Pair.of(old_client(), cid07_door())
    with pytest.raises(ssl.SSLWantReadError):
        pair.near.do_handshake()
    assert hello_extensions(pair.to_far.read())[DANE_CLIENTID] == bytes((len(NAME),)) + NAME.encode()


# --- names left to the certificate


class NamelessClient:
    """A native client that answers dane_clientid without a name, over the BIOs of a Pair."""

    def __init__(self, pair: Pair, *, profile: str, version: int, san: tuple[str, ...], raw: bool = False) -> None:
        identity = make_identity("nobody", san=san)
        config = _native.Config(server_side=False)
        config.set_versions(version, version)
        config.set_credential(identity.chain, identity.private_key)
        config.set_certificate_types(own=[2 if raw else 0], peer=[0])
        config.add_trust_anchors([authority().chain[0]])
        config.set_clientid(DANE_CLIENTID, profiles=[profile])
        self._connection = _native.Connection(config, client_name=b"", clear_name=version == TLS12)
        self._pair = pair

    def _turn(self) -> None:
        self._connection.feed(self._pair.to_near.read())

    def do_handshake(self) -> None:
        self._turn()
        done = self._connection.do_handshake()
        self._pair.to_far.write(self._connection.drain())
        if not done:
            raise ssl.SSLWantReadError

    def alert(self) -> int | None:
        self._turn()
        with pytest.raises(_native.TlsError) as told:  # noqa: PT012 (before the end of the handshake, or after it)
            self._connection.do_handshake()
            self._connection.read(1)
        return told.value.alert_received


def nameless(at: Context, **options: Any) -> tuple[Pair, NamelessClient]:
    pair = Pair.of(client(), at)
    pair.near = made = NamelessClient(pair, **options)
    return pair, made


WAYS = [("ca10", TLS13), ("cid07", TLS13), ("cid07", TLS12)]


@pytest.mark.parametrize(("profile", "version"), WAYS)
def test_leg_02_an_empty_answer_leaves_the_name_to_the_certificate(profile: str, version: int) -> None:
    pair, _ = nameless(door(profiles=[profile]), profile=profile, version=version, san=(NAME,))
    pair.shake()
    claim = pair.far.pending_claim
    assert (claim.name.text, claim.name_source) == (NAME, NameSource.SAN)
    assert claim.protocol == f"{'TLSv1.2' if version == TLS12 else 'TLSv1.3'} {profile}"


@pytest.mark.parametrize("policy", ["required", "optional"])
@pytest.mark.parametrize(("profile", "version"), WAYS)
def test_leg_03_a_raw_key_without_a_name_is_refused(profile: str, version: int, policy: str) -> None:
    """It said that it is one of ours, so an `optional` door does not let it in unauthenticated either."""
    at = door(profiles=[profile], policy=policy, ask="always" if policy == "optional" else None)
    pair, near = nameless(at, profile=profile, version=version, san=(), raw=True)
    with pytest.raises(TLSRefused) as caught:
        pair.shake()
    assert caught.value.reason is Reason.EMPTY_NAME
    assert near.alert() == (42 if profile == "ca10" else 40)


def test_leg_03_our_clients_with_raw_keys_always_say_a_name() -> None:
    for profile in ("ca10", "cid07"):
        with pytest.raises(TLSMisuse):
            client(credential(None), raw_public_key=True, profiles=[profile])


@pytest.mark.parametrize(
    ("san", "reason"),
    [
        ((), Reason.EMPTY_NAME),
        (("192.0.2.1",), Reason.EMPTY_NAME),
        (("a.example", "b.example"), Reason.AMBIGUOUS_NAME),
        (("*.cars.example",), Reason.AMBIGUOUS_NAME),
    ],
)
@pytest.mark.parametrize("policy", ["required", "optional"])
@pytest.mark.parametrize(("profile", "version"), WAYS)
def test_leg_04_no_name_and_not_one_dnsname(
    san: tuple[str, ...], reason: Reason, policy: str, profile: str, version: int
) -> None:
    """bad_certificate in ca10; the alert of all refusals in cid07."""
    at = door(profiles=[profile], policy=policy, ask="always" if policy == "optional" else None)
    pair, near = nameless(at, profile=profile, version=version, san=san)
    with pytest.raises(TLSRefused) as caught:
        pair.shake()
    assert caught.value.reason is reason
    assert near.alert() == (AlertDescription.BAD_CERTIFICATE if profile == "ca10" else 40)


@pytest.mark.parametrize(("profile", "version"), WAYS)
def test_a_door_that_takes_names_from_the_extension_alone_still_does(profile: str, version: int) -> None:
    at = door(profiles=[profile], claim_from=["extension"])
    pair, _ = nameless(at, profile=profile, version=version, san=(NAME,))
    with pytest.raises(TLSRefused) as caught:
        pair.shake()
    assert caught.value.reason is Reason.EMPTY_NAME


@pytest.mark.parametrize(("profile", "alert"), [("ca13", 40), ("ca10", 42), ("cid07", 40)])
def test_a_certificate_that_contradicts_the_name(profile: str, alert: int) -> None:
    pair = Pair.of(client(credential(), profiles=[profile]), door(profiles=[profile]))
    pair.shake()
    pair.far.shim.refuse(Refused(Reason.NAME_NOT_IN_CERTIFICATE))
    with pytest.raises(TLSAlertReceived) as told:
        pair.near.read(1)
    assert told.value.alert_received == alert


def test_an_empty_answer_is_nothing_to_a_door_of_ca13() -> None:
    pair, near = nameless(door(), profile="ca10", version=TLS13, san=(NAME,))
    with pytest.raises(ssl.SSLError):
        pair.shake()
    assert pair.far.pending_claim is None
    assert near.alert() == AlertDescription.DECODE_ERROR


# --- no door is lowered, no name escapes


def refused_version(near: ssl.SSLContext, far: Context) -> str:
    pair = Pair.of(near, far)
    with pytest.raises(ssl.SSLError) as caught:
        pair.shake()
    assert pair.far.pending_claim is None
    return str(caught.value.reason)


@pytest.mark.parametrize("profiles", [["ca13"], ["ca10"], ["ca13", "ca10"]])
def test_ca_02_a_door_without_cid07_speaks_tls_1_3_alone(profiles: list[str]) -> None:
    old = stock_client()
    old.maximum_version = OLD
    assert refused_version(old, door(profiles=profiles)) == "UNSUPPORTED_PROTOCOL"
    assert refused_version(old_client(), door(profiles=profiles)) == "BAD_EXTENSION", (
        "its hello has what we do not speak"
    )


@pytest.mark.parametrize("profiles", [["ca13"], ["ca10"]])
def test_ca_02_no_member_lowers_a_door_without_cid07(profiles: list[str]) -> None:
    at = door(profiles=profiles)
    for lower in (
        lambda: setattr(at, "minimum_version", OLD),
        lambda: setattr(at, "maximum_version", OLD),
        lambda: setattr(at, "options", at.options | ssl.OP_NO_TLSv1_3),
    ):
        with pytest.raises(TLSMisuse):
            lower()
    at.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    assert at.minimum_version is ssl.TLSVersion.TLSv1_3
    old = stock_client()
    old.maximum_version = OLD
    assert refused_version(old, at) == "UNSUPPORTED_PROTOCOL"


def test_a_door_with_cid07_may_be_narrowed() -> None:
    at = cid07_door()
    assert at.minimum_version is OLD
    at.minimum_version = ssl.TLSVersion.TLSv1_3
    assert "PROTOCOL" in refused_version(old_client(), at)
    only_old = cid07_door()
    only_old.maximum_version = OLD
    pair = Pair.of(client(credential(), profiles=["cid07"], clear_name_to=[SERVER]), only_old)
    pair.shake()
    assert pair.far.pending_claim.protocol == "TLSv1.2 cid07"
    with pytest.raises(TLSMisuse):
        only_old.options |= ssl.OP_NO_TLSv1_2 | ssl.OP_NO_TLSv1_3
    narrow = cid07_door()
    narrow.options |= ssl.OP_NO_TLSv1_2
    assert "PROTOCOL" in refused_version(old_client(), narrow)


def test_ca_02_a_client_that_can_do_both_gets_tls_1_3() -> None:
    pair = Pair.of(client(credential(), profiles=["cid07"], clear_name_to=[SERVER]), cid07_door())
    pair.shake()
    assert pair.far.pending_claim.protocol == "TLSv1.3 ca13"


def test_ca_02_a_downgrade_on_the_way_is_seen_by_the_client() -> None:
    """RFC 9846 section 4.2.3: a server that could have spoken TLS 1.3 says so in its random."""
    pair = Pair.of(client(credential(), profiles=["cid07"], clear_name_to=[SERVER]), cid07_door())
    with pytest.raises(ssl.SSLWantReadError):
        pair.near.do_handshake()
    pair.to_far.write(with_extensions(pair.to_far.read(), {SUPPORTED_VERSIONS: None}))
    with pytest.raises(ssl.SSLWantReadError):
        pair.far.do_handshake()
    flight = pair.to_near.read()
    assert flight[11 + 24 : 11 + 32] == b"DOWNGRD\x01"
    pair.to_near.write(flight)
    with pytest.raises(TLSPeerError) as caught:
        pair.near.do_handshake()
    assert caught.value.alert_sent == AlertDescription.ILLEGAL_PARAMETER
    with pytest.raises(ssl.SSLError):
        pair.far.do_handshake()
    assert pair.far.pending_claim is None


def test_ca_02_the_sentinel_gone_the_signature_fails() -> None:
    pair = Pair.of(client(credential(), profiles=["cid07"], clear_name_to=[SERVER]), cid07_door())
    with pytest.raises(ssl.SSLWantReadError):
        pair.near.do_handshake()
    pair.to_far.write(with_extensions(pair.to_far.read(), {SUPPORTED_VERSIONS: None}))
    with pytest.raises(ssl.SSLWantReadError):
        pair.far.do_handshake()
    flight = pair.to_near.read()
    pair.to_near.write(flight[: 11 + 24] + bytes(8) + flight[11 + 32 :])
    with pytest.raises(TLSPeerError) as caught:
        pair.near.do_handshake()
    assert caught.value.alert_sent == AlertDescription.DECRYPT_ERROR


@contextmanager
def hello_of(near: Context, host: str) -> Iterator[bytes]:
    to_near, to_far = ssl.MemoryBIO(), ssl.MemoryBIO()
    end = near.wrap_bio(to_near, to_far, server_hostname=host)
    with pytest.raises(ssl.SSLWantReadError):
        end.do_handshake()
    yield to_far.read()


def offers_tls_1_2(hello: bytes) -> bool:
    return b"\x03\x03" in hello_extensions(hello)[SUPPORTED_VERSIONS]


def test_leg_05_the_name_goes_in_clear_only_where_it_was_told() -> None:
    near = client(credential(), profiles=["ca13", "cid07"], clear_name_to=["*.plant.example", SERVER])
    for host in (SERVER, "plc7.plant.example", "PLC7.Plant.example"):
        with hello_of(near, host) as hello:
            assert NAME.encode() in hello
            assert offers_tls_1_2(hello)
    for host in ("plant.example", "plc7.plant.example.evil.example", "www.example", "192.0.2.1"):
        with hello_of(near, host) as hello:
            assert NAME.encode() not in hello
            assert DANE_CLIENTID not in hello_extensions(hello)
            assert not offers_tls_1_2(hello), "its certificate would be in clear as well"


def test_leg_05_elsewhere_a_server_of_tls_1_2_gets_neither_name_nor_certificate() -> None:
    near = client(credential(), profiles=["cid07"], clear_name_to=["*.plant.example"])
    far = Context(ssl.PROTOCOL_TLS_SERVER)
    far.maximum_version = OLD
    pair = Pair.of(near, far)
    with pytest.raises(ssl.SSLError):
        pair.shake()


@pytest.mark.parametrize("how", ["minimum_version", "options", "profiles"])
def test_leg_05_where_tls_1_2_is_not_spoken_no_name_is_in_clear(how: str) -> None:
    profiles = ["ca13", "ca10"] if how == "profiles" else ["cid07"]
    near = client(credential(), profiles=profiles, **({} if how == "profiles" else {"clear_name_to": [SERVER]}))
    if how == "minimum_version":
        near.minimum_version = ssl.TLSVersion.TLSv1_3
    if how == "options":
        near.options |= ssl.OP_NO_TLSv1_2
    with hello_of(near, SERVER) as hello:
        assert NAME.encode() not in hello


def test_leg_05_cid07_alone_sends_nothing_in_clear() -> None:
    near = client(credential(), profiles=["cid07"])
    assert near.minimum_version is ssl.TLSVersion.TLSv1_3
    with hello_of(near, SERVER) as hello:
        assert NAME.encode() not in hello
        assert not offers_tls_1_2(hello)
    pair = Pair.of(near, door(profiles=["cid07"]))
    pair.shake()
    assert pair.far.pending_claim.protocol == "TLSv1.3 cid07"


@pytest.mark.parametrize(
    "options",
    [
        {"clear_name_to": [SERVER]},
        {"clear_name_to": [SERVER], "profiles": ["ca13", "ca10"]},
        {"clear_name_to": ["*"], "profiles": ["cid07"]},
        {"profiles": []},
        {"profiles": ["tls12"]},
    ],
)
def test_what_contradicts_itself_is_a_misuse(options: dict[str, Any]) -> None:
    with pytest.raises(Misuse):
        client(credential(), **options)
    with pytest.raises(Misuse):
        client(credential(None, san=(NAME,)), clear_name_to=[SERVER], profiles=["cid07"])
    with pytest.raises(Misuse):
        client(None, clear_name_to=[SERVER], profiles=["cid07"])


def test_evidence_for_another_name_admits_nobody_and_releases_nothing() -> None:
    pair, other = (
        Pair.of(old_client(), cid07_door()),
        Pair.of(old_client(credential("car55._device.cars.example")), cid07_door()),
    )
    pair.shake()
    other.shake()
    with pytest.raises(TLSMisuse):
        pair.far.shim.admit(evidence(other.far.pending_claim))
    assert pair.to_near.pending == 0
    assert pair.far.authentication is Authentication.PENDING


def test_alerts_in_clear_are_alerts() -> None:
    pair = Pair.of(old_client(), cid07_door())
    pair.shake()
    pair.far.shim.refuse(Refused(Reason.NOT_PERMITTED))
    assert pair.to_near.read() == bytes((ALERT, 3, 3, 0, 2, 2, 40))
