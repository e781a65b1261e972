"""Sessions: sent after the verdict, carrying the claim, and judged again when resumed (CA-32)."""

import pytest

from dnsbound.edge.context import Context
from dnsbound.errors import Misuse, Reason, Refused
from dnsbound.tls.errors import TLSRefused
from dnsbound.tls.session import Session
from dnsbound.tls.ticket import MAX_TICKET_OCTETS
from dnsbound.verify.claim import Claim, NameSource
from machines.native_pairs import SERVER
from machines.shim_pairs import NAME, Pair, client, credential, door


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
def test_resumed_session_brings_its_claim_and_waits_for_a_verdict(raw: bool) -> None:
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


def test_no_ticket_outlives_the_evidence() -> None:
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
