"""Sessions: sent after the verdict, carrying the claim, and judged again when resumed (CA-32)."""

import base64
from pathlib import Path
from typing import Any

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.credential.matching import MatchPolicy
from dnsbound.edge.context import Context
from dnsbound.edge.ticket_keys import OwnTicketKeys
from dnsbound.errors import Misuse, Reason, Refused
from dnsbound.iana import Usage
from dnsbound.names import ClientName
from dnsbound.tls.errors import TLSRefused
from dnsbound.tls.session import Session
from dnsbound.tls.ticket import MAX_TICKET_OCTETS
from dnsbound.verify.claim import Claim, NameSource
from machines.native_pairs import SERVER, authority, make_identity
from machines.shim_pairs import NAME, Doorkeeper, Pair, client, credential, door


def ticket_of(near: Context, far: Context, **options: float) -> Session | None:
    pair = Pair.of(near, far)
    pair.shake()
    assert pair.to_near.pending == 0, "no ticket before the verdict"
    pair.admit(**options)
    pair.far.write(b"x")
    assert pair.near.read(1) == b"x"
    session: Session | None = pair.near.session
    return session


def resumed_claim(near: Context, far: Context, session: Session | None) -> tuple[Pair, Claim]:
    pair = Pair.of(near, far, session=session)
    assert pair.shake() == (True, False)
    return pair, pair.far.pending_claim


@pytest.mark.parametrize("raw", [False, True])
def test_ca_32_resumed_session_brings_its_claim_and_waits_for_a_verdict(raw: bool) -> None:
    own = credential(issuer=None)
    near, far = client(own, raw_public_key=raw), door(ticket_lifetime=600)
    session = ticket_of(near, far)
    assert session is not None
    pair, claim = resumed_claim(near, far, session)
    assert pair.near.session_reused
    assert pair.far.session_reused
    assert claim.name.text == NAME
    assert claim.name_source is NameSource.EXTENSION
    assert (claim.presented.raw_public_key == own.spki) if raw else (claim.presented.chain == own.chain)
    assert "resumption" in claim.possession.by
    pair.far.shim.refuse(Refused(Reason.NO_TLSA))
    with pytest.raises(TLSRefused) as caught:
        pair.far.do_handshake()
    assert caught.value.reason is Reason.NO_TLSA


def test_claim_by_certificate_survives_resumption() -> None:
    near, far = client(credential(None, san=(NAME,))), door(ticket_lifetime=600)
    _pair, claim = resumed_claim(near, far, ticket_of(near, far))
    assert (claim.name.text, claim.name_source) == (NAME, NameSource.SAN)


def test_no_tickets_unless_asked_for() -> None:
    assert ticket_of(client(credential()), door()) is None


def test_ca_32_no_ticket_outlives_the_evidence() -> None:
    near, far = client(credential()), door(ticket_lifetime=600)
    assert ticket_of(near, far, lasts=0.9) is None
    assert ticket_of(near, far, lasts=30.0) is not None


def test_tickets_of_tickets_end_with_the_first() -> None:
    """A resumption shows no private key: a stolen ticket must not be exchanged for new ones for ever."""
    near, far = client(credential()), door(ticket_lifetime=600)
    session, at = ticket_of(near, far, at=1000.0), 1000.0
    for at in (1200.0, 1400.0, 1590.0):
        pair, claim = resumed_claim(near, far, session)
        assert (pair.far.session_reused, claim.possession.until) == (True, 1600.0)
        pair.admit(at=at)
        pair.far.write(b"x")
        assert pair.near.read(1) == b"x"
        assert pair.near.session is not None
        assert pair.near.session.octets != session.octets
        session = pair.near.session
    pair, _ = resumed_claim(near, far, session)
    pair.admit(at=1600.0)
    pair.far.write(b"x")
    assert pair.near.read(1) == b"x"
    assert pair.near.session == session, "no new ticket"


def test_chain_too_long_for_a_ticket_is_not_resumed() -> None:
    many = [f"host{number}.a-rather-long-name-for-a-host.example" for number in range(400)]
    near = client(credential(NAME, san=many))
    assert len(near._settings.credential.chain[0]) > MAX_TICKET_OCTETS
    assert ticket_of(near, door(ticket_lifetime=600)) is None


def test_unauthenticated_client_gets_no_ticket() -> None:
    near, far = client(), door(ticket_lifetime=600, policy="optional")
    pair = Pair.of(near, far)
    assert pair.shake() == (True, True)
    pair.far.write(b"x")
    assert pair.near.read(1) == b"x"
    assert pair.near.session is None


def test_ticket_of_one_door_means_nothing_at_another() -> None:
    near = client(credential())
    session = ticket_of(near, door(ticket_lifetime=600))
    pair, claim = resumed_claim(near, door(ticket_lifetime=600), session)
    assert not pair.far.session_reused
    assert "CertificateVerify" in claim.possession.by


def test_session_belongs_to_its_context_and_host() -> None:
    near, far = client(credential()), door(ticket_lifetime=600)
    session = ticket_of(near, far)
    with pytest.raises(Misuse):
        Pair.of(client(credential()), far, session=session)
    with pytest.raises(Misuse):
        Pair.of(near, far, session=session, host="a.wild.example")
    with pytest.raises(Misuse):
        Pair.of(near, far, session=b"octets")
    assert Pair.of(near, far, session=session, host=SERVER).shake() == (True, False)


def test_changed_settings_make_a_full_handshake() -> None:
    """A session's peer is not authenticated again, so it must not outlive what it was authenticated by."""
    near, far = client(credential()), door(ticket_lifetime=600)
    session = ticket_of(near, far)
    near.set_alpn_protocols(["h2"])
    pair, _claim = resumed_claim(near, far, session)
    assert not pair.near.session_reused


@pytest.mark.parametrize("lifetime", [-1, 604_801])
def test_lifetime_out_of_range(lifetime: int) -> None:
    with pytest.raises(Misuse):
        door(ticket_lifetime=lifetime)


# --- which door's tickets


def sharing(path: Path, name: str = "api", **options: Any) -> Context:
    return door(Doorkeeper(door=name), ticket_lifetime=600, ticket_keys=path, **options)


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    path = tmp_path / "tickets.keys"
    path.write_bytes(base64.b64encode(bytes(range(32))))
    path.chmod(0o600)
    return path


def test_worker_processes_share_tickets_by_a_file(secrets: Path) -> None:
    near = client(credential())
    session = ticket_of(near, sharing(secrets))
    pair, claim = resumed_claim(near, sharing(str(secrets)), session)  # type: ignore[arg-type]
    assert pair.far.session_reused
    assert not claim.possession.is_fresh


def test_a_ticket_of_one_door_is_a_full_handshake_at_another_that_shares_all_else(secrets: Path) -> None:
    """The key file, the certificate and every setting are the same; only the door's name differs."""
    near = client(credential())
    session = ticket_of(near, sharing(secrets))
    pair, claim = resumed_claim(near, sharing(secrets, "mail"), session)
    assert not pair.far.session_reused
    assert claim.door == "mail"
    assert claim.possession.is_fresh


def test_the_context_alone_keeps_doors_apart(secrets: Path) -> None:
    """Even with the very same keys: a source may be a caller's own and not know of doors."""
    keys = OwnTicketKeys(600)
    one, same, other = (door(Doorkeeper(door=name), ticket_lifetime=600, ticket_keys=keys) for name in "aab")
    near = client(credential())
    session = ticket_of(near, one)
    assert resumed_claim(near, same, session)[0].far.session_reused
    assert not resumed_claim(near, other, session)[0].far.session_reused


@pytest.mark.parametrize(
    "changed", [{"policy": "optional"}, {"claim_from": "extension"}, {"raw_public_keys": False}], ids=str
)
def test_a_door_with_other_rules_takes_no_ticket_of_the_old_ones(secrets: Path, changed: dict[str, Any]) -> None:
    """A restart with stricter rules and the same key file: nobody comes in by what was matched before it."""
    near = client(credential())
    session = ticket_of(near, sharing(secrets))
    pair, _claim = resumed_claim(near, sharing(secrets, **changed), session)
    assert not pair.far.session_reused


def test_another_match_policy_takes_no_ticket_of_the_old_one(secrets: Path) -> None:
    class Keeper(Doorkeeper):
        policy = MatchPolicy()

    class Stricter(Doorkeeper):
        policy = MatchPolicy(usages=frozenset({Usage.DANE_EE}))

    near = client(credential())
    one, same, other = (
        door(keeper(), ticket_lifetime=600, ticket_keys=secrets) for keeper in (Keeper, Keeper, Stricter)
    )
    session = ticket_of(near, one)
    assert resumed_claim(near, same, session)[0].far.session_reused
    assert not resumed_claim(near, other, session)[0].far.session_reused


def test_a_changed_setting_of_the_door_keeps_its_tickets() -> None:
    """Keys belong to the door, not to the engine's frozen Config."""
    near, far = client(credential()), door(ticket_lifetime=600)
    session = ticket_of(near, far)
    far.set_alpn_protocols(["http/1.1"])
    assert resumed_claim(near, far, session)[0].far.session_reused


def test_the_doors_keys_turn_with_its_connections() -> None:
    class Source:
        keys = OwnTicketKeys(600).keys
        times = 0

        def refresh(self) -> None:
            self.times += 1

    source = Source()
    near, far = client(credential()), door(ticket_lifetime=600, ticket_keys=source)
    ticket_of(near, far)
    resumed_claim(near, far, None)
    assert source.times == 2


def test_keys_without_tickets_are_a_mistake(secrets: Path) -> None:
    with pytest.raises(Misuse):
        door(ticket_keys=secrets)
    with pytest.raises(Misuse, match="datagrams"):
        door(ticket_lifetime=600, datagram=True)
    secrets.chmod(0o644)
    with pytest.raises(Misuse, match="chmod 600"):
        sharing(secrets)


def test_the_ticket_ends_with_the_certificates() -> None:
    near, far = client(credential()), door(ticket_lifetime=600)
    assert ticket_of(near, far, expires=1000.9) is None
    assert ticket_of(near, far, expires=1030.0) is not None


def test_a_ticket_does_not_grow_with_the_chain() -> None:
    """The leaf is in OpenSSL's part of a ticket; of its issuers nothing is."""
    identity = make_identity(NAME, issuer=authority())
    octets = []
    for chain in (identity.chain[:1], (*identity.chain[:1], *authority().chain * 3)):
        session = ticket_of(client(Credential(ClientName.parse(NAME), identity.key, chain)), door(ticket_lifetime=600))
        assert session is not None
        octets.append(len(session.octets))
    assert abs(octets[0] - octets[1]) < 32, "padding and numbers alone"


def test_evidence_that_came_with_its_connection_ends_with_it() -> None:
    """A resumption carries no chain, and a door that takes chains may have no DNS to ask."""
    near, far = client(credential()), door(ticket_lifetime=600)
    assert ticket_of(near, far, carried=True) is None
