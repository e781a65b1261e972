"""Who OpenSSL itself verifies: modes, chains, dates, host names, TLSA records of a server."""

import hashlib
import ssl
from collections.abc import Sequence

import pytest

from dnsbound import _native
from machines.native_pairs import (
    CLIENT_NAME,
    RAW,
    SERVER,
    TLS12,
    TLS13,
    X509,
    Identity,
    authority,
    client_config,
    client_identity,
    make_identity,
    server_config,
    server_identity,
    shake,
)

SELF_SIGNED, NO_ISSUER, EXPIRED, NOT_YET = 18, 20, 10, 9
HOST, ADDRESS, NO_TLSA, INVALID_CA, KEY_TOO_SMALL, RAW_UNTRUSTED = 62, 64, 65, 79, 66, 95
Record = tuple[int, int, int, bytes]


def meet(
    identity: Identity | None = None,
    *,
    name: str | None = SERVER,
    client: _native.Config | None = None,
    own: Sequence[int] = (X509,),
    version: int = TLS13,
    tlsa: tuple[str, list[Record]] | None = None,
) -> _native.Connection:
    """The client's side after a handshake with a server of this identity."""
    near = _native.Connection(client or client_config(), server_hostname=SERVER, verify_hostname=name)
    if tlsa is not None:
        near.set_server_tlsa(*tlsa)
    far = _native.Connection(
        server_config(identity=identity, own=own, verification="none", versions=(version, version))
    )
    shake(near, far)
    return near


def refused(code: int, alert: int, identity: Identity | None = None, **wishes: object) -> None:
    with pytest.raises(_native.TlsError) as failure:
        meet(identity, **wishes)  # type: ignore[arg-type]
    assert failure.value.verify_code == code, failure.value.verify_text
    assert failure.value.verify_text
    assert (failure.value.library, failure.value.reason) == (20, 134)
    assert failure.value.alert_sent == alert


@pytest.mark.parametrize("version", [TLS12, TLS13])
@pytest.mark.parametrize("name", [SERVER, "SERVER.example", "a.wild.example", "192.0.2.7", "2001:db8::7", None])
def test_a_good_chain_and_name(name: str | None, version: int) -> None:
    near = meet(name=name, version=version)
    assert near.verify_result() == 0
    assert near.verified_chain() == list(server_identity().chain)
    assert near.peer_chain() == list(server_identity().chain)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("other.example", HOST),
        ("wild.example", HOST),
        ("a.b.wild.example", HOST),
        ("192.0.2.8", ADDRESS),
        ("::1", ADDRESS),
    ],
)
def test_another_name(name: str, code: int) -> None:
    refused(code, 42, name=name)


def test_partial_wildcards_and_common_names_do_not_count() -> None:
    partial = make_identity("partial.example", issuer=authority(), san=["s*.example"])
    refused(HOST, 42, partial)
    common = make_identity(SERVER, issuer=authority(), san=())
    refused(HOST, 42, common)
    client = client_config()
    client.set_host_flags(0)
    assert meet(common, client=client).verify_result() == 0


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_a_stranger_s_chain(version: int) -> None:
    other = make_identity("Other Authority", authority=True, san=())
    refused(19, 48, make_identity(SERVER, issuer=other), version=version)
    refused(SELF_SIGNED, 48, make_identity(SERVER), version=version)


def test_a_missing_issuer() -> None:
    alone = make_identity(SERVER, issuer=make_identity("Other Authority", authority=True, san=()))
    refused(NO_ISSUER, 48, Identity(key=alone.key, chain=alone.chain[:1]))


def test_dates() -> None:
    refused(EXPIRED, 45, make_identity(SERVER, issuer=authority(), days=(-3, -2)))
    refused(NOT_YET, 42, make_identity(SERVER, issuer=authority(), days=(2, 3)))


def test_a_leaf_is_no_authority() -> None:
    below = make_identity("below.example", issuer=server_identity())
    refused(INVALID_CA, 48, below, name="below.example")


def test_a_raw_key_needs_tlsa_records() -> None:
    client = client_config(peer=[RAW])
    refused(RAW_UNTRUSTED, 46, client=client, own=[RAW], name=None)


def test_accept_takes_anything() -> None:
    client = client_config(verification="accept", peer=[X509, RAW])
    for identity in (make_identity("stranger.example", days=(-3, -2)), server_identity()):
        for own in ([X509], [RAW]):
            near = meet(identity, client=client, own=own, name=None)
            assert near.verify_result() == 0
            assert near.verified_chain() == []


@pytest.mark.parametrize("own", [X509, RAW])
@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_accept_takes_no_key_below_the_security_level(own: int, version: int) -> None:
    """1024-bit RSA has 80 bits of security: below level 2, which is the default, but not below level 1."""
    weak = make_identity("car54.cars.example", kind="rsa1024")
    client = client_of(weak, own)
    server = server_config(peer=[own], versions=(version, version))
    near, far = _native.Connection(client), _native.Connection(server)
    with pytest.raises(_native.TlsError) as refusal:
        shake(near, far)
    assert refusal.value.verify_code == KEY_TOO_SMALL
    assert refusal.value.alert_sent == 42
    server = server_config(peer=[own], versions=(version, version))
    server.set_security_level(1)
    near, far = _native.Connection(client), _native.Connection(server)
    shake(near, far)
    assert far.peer_raw_public_key() == (weak.spki if own == RAW else None)


def client_of(identity: Identity, own: int) -> _native.Config:
    """A client of a low security level, so that it shows its weak key at all."""
    config = client_config(anonymous=True, own=[own])
    config.set_security_level(0)
    config.set_credential(identity.chain, identity.private_key)
    return config


def test_none_verifies_nothing() -> None:
    near = meet(make_identity("stranger.example"), client=client_config(verification="none"), name=None)
    assert near.peer_chain()
    assert near.verified_chain() == []


def test_trust_anchors_from_files(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("anchors")
    file = path / "authority.pem"
    file.write_text(ssl.DER_cert_to_PEM_cert(authority().chain[0]))
    client = _native.Config(server_side=False)
    client.load_verify_locations(str(file), None)
    assert client.trust_anchors() == [authority().chain[0]]
    assert meet(client=client).verify_result() == 0
    empty = _native.Config(server_side=False)
    empty.load_verify_locations(None, str(path))
    assert empty.trust_anchors() == []
    refused(19, 48, client=empty)
    for wrong in (str(path / "absent.pem"), str(path)):
        with pytest.raises(_native.TlsError):
            _native.Config(server_side=False).load_verify_locations(wrong, None)
    with pytest.raises(ValueError, match="both"):
        _native.Config(server_side=False).load_verify_locations(None, None)
    with pytest.raises(ValueError, match="zero octet"):
        _native.Config(server_side=False).load_verify_locations("a\0b", None)


def test_verify_flags() -> None:
    """X509_V_FLAG_PARTIAL_CHAIN: an intermediate among the anchors may end the chain."""
    middle = make_identity("Middle", issuer=authority(), authority=True, san=())
    leaf = make_identity(SERVER, issuer=middle)
    shown = Identity(key=leaf.key, chain=leaf.chain[:1])
    client = _native.Config(server_side=False)
    client.add_trust_anchors([middle.chain[0]])
    refused(2, 48, shown, client=client)
    client = _native.Config(server_side=False)
    client.add_trust_anchors([middle.chain[0]])
    client.set_verify_flags(0x80000)
    assert meet(shown, client=client).verify_result() == 0


def test_a_server_that_verifies() -> None:
    good = make_identity("car54.cars.example", issuer=authority())
    for mode in ("verify", "verify-required"):
        server = server_config(verification=mode)
        assert server.trust_anchors() == []
        server.add_trust_anchors([authority().chain[0]])
        near = _native.Connection(client_config(identity=good), client_name=CLIENT_NAME)
        far = _native.Connection(server)
        shake(near, far)
        assert far.verified_chain() == list(good.chain)
        assert far.client_names() == [(0, CLIENT_NAME)]
        near = _native.Connection(client_config(identity=client_identity()))
        far = _native.Connection(server)
        with pytest.raises(_native.TlsError) as failure:
            shake(near, far)
        assert failure.value.verify_code == SELF_SIGNED
        assert failure.value.alert_sent == 48


def test_a_server_that_verifies_takes_no_certificate_unless_required() -> None:
    server = server_config(verification="verify")
    near, far = _native.Connection(client_config(anonymous=True)), _native.Connection(server)
    shake(near, far)
    assert far.peer_chain() == []


# --- TLSA


def full(identity: Identity, selector: int) -> bytes:
    return identity.spki if selector else identity.chain[0]


def association(identity: Identity, selector: int, matching: int) -> bytes:
    data = full(identity, selector)
    return {0: data, 1: hashlib.sha256(data).digest(), 2: hashlib.sha512(data).digest()}[matching]


@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
def test_dane_ee_ignores_names_and_dates(selector: int, matching: int) -> None:
    identity = make_identity("wrong.example", days=(-3, -2))
    record = (3, selector, matching, association(identity, selector, matching))
    near = meet(identity, tlsa=(SERVER, [record]))
    assert near.verify_result() == 0
    assert near.server_tlsa_match() == record


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_dane_ee_authenticates_a_raw_key(version: int) -> None:
    record = (3, 1, 1, association(server_identity(), 1, 1))
    client = client_config(peer=[RAW])
    near = meet(client=client, own=[RAW], version=version, tlsa=(SERVER, [record]))
    assert near.peer_raw_public_key() == server_identity().spki
    assert near.server_tlsa_match() == record
    wrong = (3, 1, 1, association(client_identity(), 1, 1))
    with pytest.raises(_native.TlsError) as failure:
        meet(client=client_config(peer=[RAW]), own=[RAW], version=version, tlsa=(SERVER, [wrong]))
    assert failure.value.verify_code in {NO_TLSA, RAW_UNTRUSTED}


def test_no_record_matches() -> None:
    wrong = association(client_identity(), 1, 1)
    refused(NO_TLSA, 42, tlsa=(SERVER, [(3, 1, 1, wrong)]))
    refused(NO_TLSA, 42, tlsa=(SERVER, [(3, 1, 1, wrong), (2, 0, 1, wrong)]))


def test_any_record_suffices() -> None:
    good = (3, 1, 1, association(server_identity(), 1, 1))
    near = meet(tlsa=(SERVER, [(3, 1, 1, bytes(32)), good, (3, 0, 1, bytes(32))]))
    assert near.server_tlsa_match() == good


@pytest.mark.parametrize("selector", [0, 1])
def test_dane_ta_checks_name_and_dates(selector: int) -> None:
    anchor = make_identity("Private Authority", authority=True, san=())
    record = (2, selector, 1, association(anchor, selector, 1))
    near = meet(make_identity(SERVER, issuer=anchor), tlsa=(SERVER, [record]))
    assert near.server_tlsa_match() == record
    refused(HOST, 42, make_identity("other.example", issuer=anchor), tlsa=(SERVER, [record]))
    refused(EXPIRED, 45, make_identity(SERVER, issuer=anchor, days=(-3, -2)), tlsa=(SERVER, [record]))


def test_pkix_usages_need_the_trust_anchors() -> None:
    for usage, identity in ((1, server_identity()), (0, authority())):
        record = (usage, 1, 1, association(identity, 1, 1))
        assert meet(tlsa=(SERVER, [record])).server_tlsa_match() == record
        with pytest.raises(_native.TlsError) as failure:
            meet(client=_native.Config(server_side=False), tlsa=(SERVER, [record]))
        assert failure.value.verify_code


def test_unusable_records_are_counted_out() -> None:
    near = _native.Connection(client_config(), verify_hostname=SERVER)
    unusable: list[Record] = [
        (4, 1, 1, bytes(32)),
        (3, 2, 1, bytes(32)),
        (3, 1, 3, bytes(32)),
        (3, 1, 1, bytes(31)),
        (3, 1, 2, bytes(32)),
        (3, 1, 1, b""),
        (3, 0, 0, b"not a certificate"),
        (3, 1, 0, b"not a key"),
        (255, 255, 255, b"private"),
    ]
    usable = (3, 1, 1, bytes(32))
    assert near.set_server_tlsa(SERVER, [*unusable, usable]) == 1


def test_with_no_usable_record_the_name_stays_as_it_was() -> None:
    assert meet(tlsa=("base.example", [(9, 9, 9, b"")])).verify_result() == 0
    refused(HOST, 42, name="other.example", tlsa=(SERVER, []))


def test_the_base_domain_is_the_name_to_show() -> None:
    record = (2, 0, 1, association(authority(), 0, 1))
    assert meet(name="other.example", tlsa=(SERVER, [record])).server_tlsa_match() == record
    refused(HOST, 42, tlsa=("base.example", [record]))


def test_the_base_domain_is_the_default_server_name() -> None:
    near = _native.Connection(client_config())
    near.set_server_tlsa("base.example", [(3, 1, 1, bytes(32))])
    assert near.server_name() == "base.example"


def test_when_records_cannot_be_set() -> None:
    record = [(3, 1, 1, bytes(32))]
    with pytest.raises(RuntimeError, match="client"):
        _native.Connection(server_config()).set_server_tlsa(SERVER, record)
    with pytest.raises(RuntimeError, match="does not check"):
        _native.Connection(client_config(verification="accept")).set_server_tlsa(SERVER, record)
    near = _native.Connection(client_config())
    for name in ("", "ünder.example", "a\0b"):
        with pytest.raises(ValueError, match=r"A-labels|zero octet"):
            near.set_server_tlsa(name, record)
    assert near.set_server_tlsa(SERVER, record) == 1
    with pytest.raises(_native.TlsError):
        near.set_server_tlsa(SERVER, record)
    started = _native.Connection(client_config())
    started.do_handshake()
    with pytest.raises(RuntimeError, match="before the handshake"):
        started.set_server_tlsa(SERVER, record)
    with pytest.raises(OverflowError):
        _native.Connection(client_config()).set_server_tlsa(SERVER, [(256, 1, 1, b"")])
