"""Config: every setting, what it refuses, and that it is frozen once it is in use."""

import gc

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from dnsbound import _native
from machines.native_pairs import (
    CODE_POINT,
    TLS12,
    TLS13,
    authority,
    client_config,
    client_identity,
    connect,
    make_identity,
    server_config,
    server_identity,
    shake,
)

NO_RENEGOTIATION, NO_COMPRESSION, IGNORE_EOF, LEGACY_RENEGOTIATION = 1 << 30, 1 << 17, 1 << 7, 1 << 18


def fresh(*, server_side: bool = False) -> _native.Config:
    return _native.Config(server_side=server_side)


def test_the_library_names_itself() -> None:
    assert _native.OPENSSL_VERSION.startswith("OpenSSL 3.")
    assert _native.OPENSSL_VERSION_NUMBER >= 0x30500000
    assert isinstance(_native.VENDORED, bool)


def test_the_role_is_a_keyword() -> None:
    assert fresh(server_side=True).server_side
    assert not fresh().server_side
    with pytest.raises(TypeError):
        _native.Config(True)  # type: ignore[misc]
    with pytest.raises(AttributeError):
        fresh().server_side = True  # type: ignore[misc]


def test_versions() -> None:
    config = client_config()
    config.set_versions(TLS12, TLS12)
    near, _ = connect(server_config(), config)
    assert near.version() == TLS12
    for minimum, maximum in ((TLS13, TLS12), (0x0302, TLS13), (TLS12, 0x0305), (0, 0)):
        with pytest.raises(ValueError, match="versions"):
            fresh().set_versions(minimum, maximum)


def test_options() -> None:
    config = fresh()
    bits = config.set_options(set_bits=1 << 22)
    assert bits & (1 << 22)
    assert not config.set_options(set_bits=0, clear_bits=1 << 22) & (1 << 22)


def test_options_that_cannot_be_changed() -> None:
    config = fresh()
    always, never = NO_RENEGOTIATION | NO_COMPRESSION, IGNORE_EOF | LEGACY_RENEGOTIATION
    bits = config.set_options(set_bits=never, clear_bits=always)
    assert bits & always == always
    assert not bits & never


def test_lists_nobody_knows() -> None:
    for refuse in (
        lambda config: config.set_cipher_list("NO-SUCH-CIPHER"),
        lambda config: config.set_cipher_suites("TLS_NO_SUCH_SUITE"),
        lambda config: config.set_groups("no-such-group"),
        lambda config: config.set_signature_algorithms("no-such-algorithm"),
    ):
        with pytest.raises(_native.TlsError) as refused:
            refuse(fresh())
        assert refused.value.text
    with pytest.raises(ValueError, match="zero octet"):
        fresh().set_groups("X25519\0")


def test_security_levels() -> None:
    config = fresh()
    config.set_security_level(3)
    with pytest.raises(_native.TlsError):  # 2048-bit RSA is below 128 bits of security
        config.set_credential(*shown(make_identity("weak.example", kind="rsa")))
    for level in (-1, 6):
        with pytest.raises(ValueError, match="0 to 5"):
            fresh().set_security_level(level)


def shown(identity: object) -> tuple[tuple[bytes, ...], bytes]:
    return identity.chain, identity.private_key  # type: ignore[attr-defined]


def test_alpn_lists() -> None:
    for wrong in ([b""], [b"x" * 256], [b"x" * 255] * 300):
        with pytest.raises(ValueError, match="ALPN"):
            fresh().set_alpn(wrong)
    fresh().set_alpn([])


def test_a_key_and_a_leaf_of_different_people() -> None:
    with pytest.raises(_native.TlsError) as refused:
        fresh().set_credential(server_identity().chain, client_identity().private_key)
    assert (refused.value.library, refused.value.reason) in {(11, 116), (20, 288)}
    with pytest.raises(_native.TlsError):
        fresh().set_credential(server_identity().chain, make_identity("x.example", kind="rsa").private_key)


def test_credentials_that_are_none() -> None:
    identity = client_identity()
    for chain, key in (
        ([b""], identity.private_key),
        ([b"\x30\x00"], identity.private_key),
        ([identity.chain[0][:-1]], identity.private_key),
        ([identity.spki], identity.private_key),
        ([], b""),
        ([], b"\x30\x00"),
        ([], identity.private_key[:-1]),
        ([], identity.spki),
        ([], identity.key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())),
        ([], identity.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))),
        ([], identity.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())),
    ):
        with pytest.raises(_native.TlsError):
            fresh().set_credential(chain, key)
    with pytest.raises(ValueError, match="behind the certificate"):
        fresh().set_credential([identity.chain[0] + b"\0"], identity.private_key)
    with pytest.raises(ValueError, match="behind the private key"):
        fresh().set_credential([], identity.private_key + b"\0")


def test_one_credential_per_kind_of_key() -> None:
    elliptic, rsa = make_identity("server.example"), make_identity("server.example", kind="rsa")
    server = _native.Config(server_side=True)
    for identity in (make_identity("replaced.example"), elliptic, rsa):
        server.set_credential(*shown(identity))
    for algorithms, expected in (("ecdsa_secp256r1_sha256", elliptic), ("rsa_pss_rsae_sha256", rsa)):
        client = client_config(verification="accept")
        client.set_signature_algorithms(algorithms)
        near, _ = connect(server, client)
        assert near.peer_chain() == list(expected.chain)


def test_certificate_types() -> None:
    for wrong in ([], [1], [0, 2, 0], [2, 2], [0, 1]):
        with pytest.raises(ValueError, match="certificate types"):
            fresh().set_certificate_types(own=wrong, peer=[0])
        with pytest.raises(ValueError, match="certificate types"):
            fresh().set_certificate_types(own=[0], peer=wrong)
    with pytest.raises((OverflowError, ValueError)):
        fresh().set_certificate_types(own=[256], peer=[0])


def test_trust_anchors() -> None:
    config = fresh()
    assert config.trust_anchors() == []
    other = make_identity("Other", authority=True, san=())
    config.add_trust_anchors([authority().chain[0], other.chain[0]])
    config.add_trust_anchors([authority().chain[0]])
    assert sorted(config.trust_anchors()) == sorted([authority().chain[0], other.chain[0]])
    with pytest.raises(_native.TlsError):
        config.add_trust_anchors([b"nothing"])
    config.set_default_verify_paths()


def test_modes_of_peer_verification() -> None:
    for mode in ("verify", "verify-required", "accept", "accept-required", "none"):
        fresh().set_peer_verification(mode)
    for wrong in ("", "VERIFY", "optional"):
        with pytest.raises(ValueError, match="no such peer verification"):
            fresh().set_peer_verification(wrong)


def test_the_default_of_a_client_verifies_and_of_a_server_asks_nothing() -> None:
    server, client = fresh(server_side=True), fresh()
    server.set_credential(*shown(server_identity()))
    near, far = _native.Connection(client, verify_hostname="server.example"), _native.Connection(server)
    with pytest.raises(_native.TlsError) as refused:
        shake(near, far)
    assert refused.value.verify_code == 19
    client = fresh()
    client.add_trust_anchors([authority().chain[0]])
    near, far = _native.Connection(client, verify_hostname="server.example"), _native.Connection(server)
    shake(near, far)
    assert not near.certificate_requested()


def test_code_points() -> None:
    for taken in (0, 13, 16, 43, 51):
        with pytest.raises(ValueError, match="OpenSSL's own"):
            fresh().set_clientid(taken)
    for wrong in (-1, 65536):
        with pytest.raises(OverflowError):
            fresh().set_clientid(wrong)
    config = fresh()
    config.set_clientid(CODE_POINT)
    with pytest.raises(RuntimeError, match="already"):
        config.set_clientid(CODE_POINT + 1)


def test_ciphers() -> None:
    config = fresh()
    config.set_cipher_suites("TLS_AES_128_GCM_SHA256")
    config.set_cipher_list("ECDHE-ECDSA-AES256-GCM-SHA384")
    assert config.ciphers() == ["TLS_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"]


def changes(config: _native.Config) -> list[object]:
    identity = client_identity()
    return [
        lambda: config.set_versions(TLS12, TLS13),
        lambda: config.set_options(set_bits=0),
        lambda: config.set_cipher_list("ALL"),
        lambda: config.set_cipher_suites("TLS_AES_128_GCM_SHA256"),
        lambda: config.set_groups("X25519"),
        lambda: config.set_signature_algorithms("ed25519"),
        lambda: config.set_security_level(2),
        lambda: config.set_alpn([]),
        lambda: config.set_credential(identity.chain, identity.private_key),
        lambda: config.set_credential_signer(identity.chain, identity.spki, [0x0403], lambda _scheme, _message: b""),
        lambda: config.set_certificate_types(own=[0], peer=[0]),
        lambda: config.add_trust_anchors([]),
        config.set_default_verify_paths,
        lambda: config.load_verify_locations(None, "/"),
        lambda: config.set_verify_flags(0),
        lambda: config.set_host_flags(0),
        lambda: config.set_peer_verification("none"),
        lambda: config.set_clientid(CODE_POINT + 2),
        lambda: config.set_request_signal([(62, 80)]),
        lambda: config.set_dnssec_chain(59),
        lambda: config.set_carried_chain(CODE_POINT + 3),
        lambda: config.set_held_flight(False),
        lambda: config.set_danger_no_extended_master_secret(True),
        config.set_datagrams,
        lambda: config.set_tickets(lifetime=0),
        lambda: config.set_post_handshake_auth(True),
        lambda: config.set_keylog(True),
    ]


def test_a_config_in_use_is_frozen() -> None:
    for config in (fresh(), fresh(server_side=True)):
        assert not config.frozen
        _native.Connection(config)
        assert config.frozen
        for change in changes(config):
            with pytest.raises(RuntimeError, match="frozen"):
                change()  # type: ignore[operator]
        assert config.trust_anchors() == []
        assert config.ciphers()


def test_every_setter_is_tried_when_frozen() -> None:
    setters = {name for name in dir(_native.Config) if name.startswith(("set_", "add_", "load_"))}
    assert len(setters) == len(changes(fresh()))


def test_a_connection_that_was_not_made_freezes_nothing() -> None:
    config = fresh()
    with pytest.raises(ValueError, match="set_clientid"):
        _native.Connection(config, client_name=b"a.example")
    assert not config.frozen


def test_what_a_connection_may_be_made_with() -> None:
    for wishes in (
        {"server_hostname": "a.example"},
        {"verify_hostname": "a.example"},
        {"client_name": b"a.example"},
        {"session": b""},
    ):
        with pytest.raises(ValueError, match="server connection"):
            _native.Connection(server_config(), **wishes)  # type: ignore[arg-type]
    for name in (b"", b"x" * 256):
        with pytest.raises(ValueError, match="1 to 255"):
            _native.Connection(client_config(), client_name=name)
    for hostname in ("", "münchen.example"):
        with pytest.raises(ValueError, match="A-labels"):
            _native.Connection(client_config(), server_hostname=hostname)
        with pytest.raises(ValueError, match="A-labels"):
            _native.Connection(client_config(), verify_hostname=hostname)
    with pytest.raises(ValueError, match="zero octet"):
        _native.Connection(client_config(), server_hostname="a\0b")
    with pytest.raises(_native.TlsError):
        _native.Connection(client_config(), server_hostname="x" * 300)
    for mode in ("accept", "none"):
        with pytest.raises(ValueError, match="does not check"):
            _native.Connection(client_config(verification=mode), verify_hostname="a.example")
    with pytest.raises(TypeError):
        _native.Connection(None)  # type: ignore[arg-type]


def test_a_connection_outlives_its_config() -> None:
    server, client = server_config(), client_config()
    near, far = _native.Connection(client, client_name=b"a.example"), _native.Connection(server)
    del server, client
    gc.collect()
    shake(near, far)
    assert far.client_names() == [(0, b"a.example")]


def test_neither_class_is_a_base() -> None:
    for base in (_native.Config, _native.Connection):
        with pytest.raises(TypeError):
            type("Derived", (base,), {})
