"""Every member a Context inherits from `ssl.SSLContext` is forwarded to our engine or refused; none is ignored."""

import inspect
import ssl
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from dnsbound.credential.credential import certificates_to_pem
from dnsbound.edge.context import Context
from dnsbound.errors import Misuse
from dnsbound.tls.errors import TLSCertificateRefused, TLSMisuse
from machines.native_pairs import SERVER, authority, make_identity, server_identity
from machines.shim_pairs import Pair, client, credential, door, stock_client, stock_server

FORWARDED = {
    "cert_store_stats": "answers from the engine",
    "check_hostname": "engine, per connection",
    "get_ca_certs": "answers from the engine",
    "get_ciphers": "answers from the engine",
    "keylog_filename": "engine, and a file of ours",
    "load_cert_chain": "engine",
    "load_default_certs": "engine",
    "load_verify_locations": "engine",
    "maximum_version": "engine",
    "minimum_version": "engine",
    "num_tickets": "says what the engine does; a change is refused",
    "options": "engine",
    "post_handshake_auth": "engine; a door is told when it is made",
    "security_level": "says what the engine does",
    "set_alpn_protocols": "engine",
    "set_ciphers": "engine",
    "set_default_verify_paths": "engine",
    "set_ecdh_curve": "engine",
    "set_groups": "engine",
    "verify_flags": "engine",
    "verify_mode": "engine",
    "_wrap_bio": "makes our shim",
    "_wrap_socket": "makes our shim",
    "sslobject_class": "ours",
    "sslsocket_class": "ours",
}
REFUSED = {
    "_host_flags": "fixed",
    "_load_windows_store_certs": "not read",
    "_msg_callback": "no hook in the engine",
    "_set_alpn_protocols": "acts on the standard library's OpenSSL",
    "hostname_checks_common_name": "never",
    "load_dh_params": "named groups only",
    "session_stats": "no session cache",
    "set_npn_protocols": "obsolete",
    "set_psk_client_callback": "not spoken",
    "set_psk_server_callback": "not spoken",
    "set_servername_callback": "no hook in the engine",
    "sni_callback": "no hook in the engine",
}
KEPT = {
    "_encode_hostname": "the standard library's, pure",
    "_windows_cert_stores": "a constant",
    "protocol": "the role, which the base was made with",
    "wrap_bio": "the standard library's: calls _wrap_bio",
    "wrap_socket": "the standard library's: calls _wrap_socket",
}
"""Members of the standard library that stay in the path, because they never touch its OpenSSL context's settings."""


OURS = Context.__mro__[: Context.__mro__.index(ssl.SSLContext)]


def inherited() -> set[str]:
    return {name for name in dir(ssl.SSLContext) if not (name.startswith("__") and name.endswith("__"))}


def test_every_inherited_member_is_decided() -> None:
    decided = FORWARDED.keys() | REFUSED.keys() | KEPT.keys()
    assert inherited() - decided == set(), "decide: forward it, refuse it, or say why it may stay"
    assert len(decided) == len(FORWARDED) + len(REFUSED) + len(KEPT), "decided twice"


@pytest.mark.parametrize("name", sorted((FORWARDED.keys() | REFUSED.keys()) & inherited()))
def test_decided_members_are_ours(name: str) -> None:
    assert any(name in vars(cls) for cls in OURS)


@pytest.mark.parametrize("name", sorted(KEPT))
def test_kept_members_are_the_standard_librarys(name: str) -> None:
    assert not any(name in vars(cls) for cls in OURS)


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("_wrap_bio", "(self, incoming, outgoing, server_side, server_hostname=None, *, owner=None, session=None)"),
        ("_wrap_socket", "(self, sock, server_side, server_hostname=None, *, owner=None, session=None)"),
    ],
)
def test_private_names_of_the_standard_library_stand(name: str, signature: str) -> None:
    """They are what the standard library calls, on the Python that runs this; seen the same in 3.11 to 3.13."""
    theirs = inspect.signature(getattr(ssl.SSLContext, name))
    assert str(theirs).replace("/, ", "").replace("$", "") == signature
    ours = inspect.signature(getattr(Context, name))
    assert [p.name for p in ours.parameters.values()] == [p.name for p in theirs.parameters.values()]
    caller = ssl.SSLObject._create if name == "_wrap_bio" else ssl.SSLSocket._create
    assert f"context.{name}(" in inspect.getsource(caller)


def fresh() -> Context:
    return Context(ssl.PROTOCOL_TLS_CLIENT)


REFUSALS: dict[str, Callable[[Context], Any]] = {
    "_host_flags": lambda c: c._host_flags,
    "_load_windows_store_certs": lambda c: c._load_windows_store_certs("ROOT", ssl.Purpose.SERVER_AUTH),
    "_msg_callback": lambda c: setattr(c, "_msg_callback", print),
    "_set_alpn_protocols": lambda c: c._set_alpn_protocols(b"\x02h2"),
    "hostname_checks_common_name": lambda c: setattr(c, "hostname_checks_common_name", True),
    "load_dh_params": lambda c: c.load_dh_params("/dev/null"),
    "session_stats": lambda c: c.session_stats(),
    "set_npn_protocols": lambda c: c.set_npn_protocols(["h2"]),
    "set_psk_client_callback": lambda c: c.set_psk_client_callback(print),
    "set_psk_server_callback": lambda c: c.set_psk_server_callback(print),
    "set_servername_callback": lambda c: c.set_servername_callback(print),
    "sni_callback": lambda c: setattr(c, "sni_callback", print),
}


def test_every_refusal_is_tried() -> None:
    assert set(REFUSALS) == set(REFUSED)


@pytest.mark.parametrize("name", sorted(REFUSALS))
def test_refused_members_raise(name: str) -> None:
    with pytest.raises(TLSMisuse) as caught:
        REFUSALS[name](fresh())
    assert isinstance(caught.value, ssl.SSLError)
    assert isinstance(caught.value, Misuse)


def test_values_that_change_nothing_are_welcome() -> None:
    """Programs reset what they do not use; that asks for nothing."""
    context = fresh()
    context.sni_callback = None
    context.set_servername_callback(None)
    context.post_handshake_auth = False
    context.hostname_checks_common_name = False
    context._msg_callback = None
    context.num_tickets = context.num_tickets
    context.verify_mode = ssl.CERT_REQUIRED
    context.check_hostname = True
    assert (context.sni_callback, context.post_handshake_auth, context._msg_callback) == (None, False, None)
    with pytest.raises(TLSMisuse):
        context.num_tickets = 2


def test_roles_must_be_named() -> None:
    for arguments in ((), (None,), (ssl.PROTOCOL_TLS,)):
        with pytest.raises(TLSMisuse):
            Context(*arguments)


# --- forwarded members reach the engine


def version_of(near: ssl.SSLContext, far: ssl.SSLContext) -> str | None:
    pair = Pair.of(near, far)
    assert pair.shake() == (True, True)
    version: str | None = pair.near.version()
    return version


def test_versions(tmp_path: Path) -> None:
    near, far = client(), stock_server(tmp_path)
    assert version_of(near, far) == "TLSv1.3"
    near.maximum_version = ssl.TLSVersion.TLSv1_2
    assert version_of(near, far) == "TLSv1.2"
    near.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
    assert near.maximum_version is ssl.TLSVersion.TLSv1_3
    near.options |= ssl.OP_NO_TLSv1_3
    assert version_of(near, far) == "TLSv1.2"
    near.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    assert near.minimum_version is ssl.TLSVersion.TLSv1_2
    with pytest.raises(TLSMisuse):
        near.minimum_version = ssl.TLSVersion.TLSv1


def test_options_reach_the_engine_and_go_again(tmp_path: Path) -> None:
    near, far = client(), stock_server(tmp_path)
    before = near.options
    near.options |= ssl.OP_NO_TLSv1_3
    assert ssl.OP_NO_TLSv1_3 in near.options
    near.options &= ~ssl.OP_NO_TLSv1_3
    assert near.options == before
    assert version_of(near, far) == "TLSv1.3"
    with pytest.raises(TLSMisuse):
        near.options |= ssl.OP_NO_TLSv1_2 | ssl.OP_NO_TLSv1_3


def test_truncation_stays_an_error() -> None:
    ignore = getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 1 << 7)
    context = fresh()
    assert not context.options & ignore
    for weakening in (ignore, 1 << 10):  # the second resumes without a key exchange (ALLOW_NO_DHE_KEX)
        with pytest.raises(TLSMisuse):
            context.options |= weakening


def test_ciphers(tmp_path: Path) -> None:
    near, far = client(), stock_server(tmp_path)
    near.maximum_version = ssl.TLSVersion.TLSv1_2
    near.set_ciphers("ECDHE-ECDSA-CHACHA20-POLY1305")
    pair = Pair.of(near, far)
    pair.shake()
    assert pair.far.cipher()[0] == "ECDHE-ECDSA-CHACHA20-POLY1305"
    assert "ECDHE-ECDSA-CHACHA20-POLY1305" in {cipher["name"] for cipher in near.get_ciphers()}
    for refused in ("NO-SUCH-CIPHER", "ALL:aNULL:@SECLEVEL=0", "default@seclevel=1"):
        with pytest.raises(ssl.SSLError):
            near.set_ciphers(refused)


def test_groups(tmp_path: Path) -> None:
    near, far = client(), stock_server(tmp_path)
    near.set_ecdh_curve("secp384r1")
    pair = Pair.of(near, far)
    pair.shake()
    assert pair.near.group() == "secp384r1"
    with pytest.raises(TLSMisuse):
        near.set_ecdh_curve("no-such-curve")


def test_security_level_is_what_the_engine_uses(tmp_path: Path) -> None:
    """Level 2 takes no RSA key below 2048 bits, whatever the chain says."""
    assert fresh().security_level == 2
    with pytest.raises(AttributeError):
        fresh().security_level = 1


def test_alpn(tmp_path: Path) -> None:
    near, far = client(), stock_server(tmp_path)
    far.set_alpn_protocols(["h2"])
    near.set_alpn_protocols(["http/1.1", "h2"])
    pair = Pair.of(near, far)
    pair.shake()
    assert pair.near.selected_alpn_protocol() == "h2"
    for bad in ("", "x" * 256):
        with pytest.raises(ssl.SSLError):
            near.set_alpn_protocols([bad])


def test_setting_the_same_again_costs_nothing() -> None:
    """httpx and urllib3 set ALPN for every connection: the certificate authorities are not loaded again for it."""
    context = Context.client()
    context.set_alpn_protocols(["h2"])
    config = context.engine_config()
    context.set_alpn_protocols(["h2"])
    context.verify_mode = ssl.CERT_REQUIRED
    assert context.engine_config() is config
    context.set_alpn_protocols(["http/1.1"])
    assert context.engine_config() is not config


# --- trust


def trusting(**locations: Any) -> Context:
    context = fresh()
    context.load_verify_locations(**locations)
    return context


def test_verify_locations(tmp_path: Path) -> None:
    far = stock_server(tmp_path)
    pem = certificates_to_pem([authority().chain[0]])
    file = tmp_path / "authorities.pem"
    file.write_bytes(pem)
    for context in (
        trusting(cafile=file),
        trusting(cafile=bytes(file)),
        trusting(cadata=pem.decode()),
        trusting(cadata=authority().chain[0]),
        trusting(cadata=server_identity().chain[1] + make_identity("other", authority=True).chain[0]),
    ):
        assert Pair.of(context, far).shake() == (True, True)
        assert authority().chain[0] in context.get_ca_certs(binary_form=True)
        assert context.cert_store_stats()["x509"] == len(context.get_ca_certs())
    with pytest.raises(TLSCertificateRefused):
        Pair.of(fresh(), far).shake()


def test_directories_of_authorities(tmp_path: Path) -> None:
    directory = tmp_path / "certs"
    directory.mkdir()
    (directory / f"{subject_hash(authority().chain[0])}.0").write_bytes(certificates_to_pem([authority().chain[0]]))
    assert Pair.of(trusting(capath=directory), stock_server(tmp_path)).shake() == (True, True)


def subject_hash(certificate: bytes) -> str:
    """OpenSSL's file name for a certificate: SHA-1 over the subject's RDNs in canonical form."""
    import hashlib

    from cryptography import x509

    rdns = b""
    for rdn in x509.load_der_x509_certificate(certificate).subject.rdns:
        [part] = rdn
        value = str(part.value).lower().encode()
        oid = bytes.fromhex("0603550403")
        inner = oid + b"\x0c" + bytes([len(value)]) + value
        sequence = b"\x30" + bytes([len(inner)]) + inner
        rdns += b"\x31" + bytes([len(sequence)]) + sequence
    return f"{int.from_bytes(hashlib.sha1(rdns).digest()[:4], 'little'):08x}"


def test_changed_file_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "authorities.pem"
    file.write_bytes(certificates_to_pem([make_identity("stranger", authority=True).chain[0]]))
    context = trusting(cafile=file)
    far = stock_server(tmp_path)
    with pytest.raises(TLSCertificateRefused):
        Pair.of(context, far).shake()
    file.write_bytes(certificates_to_pem([authority().chain[0]]) * 2)
    context.load_verify_locations(cafile=file)
    assert Pair.of(context, far).shake() == (True, True)


def test_bad_locations_are_errors_at_once(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_bytes(b"")
    with pytest.raises(FileNotFoundError):
        trusting(cafile=tmp_path / "missing.pem")
    with pytest.raises(TypeError):
        trusting()
    for locations in ({"cafile": empty}, {"cadata": ""}, {"cadata": b""}, {"cadata": b"\x30\x82"}, {"cadata": "x"}):
        with pytest.raises(ssl.SSLError):
            trusting(**locations)


def test_default_authorities_are_pythons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ssl.create_default_context(): SSL_CERT_FILE and SSL_CERT_DIR are honoured."""
    file = tmp_path / "authorities.pem"
    file.write_bytes(certificates_to_pem([authority().chain[0]]))
    far = stock_server(tmp_path)
    with pytest.raises(TLSCertificateRefused):
        Pair.of(Context.client(), far).shake()
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    assert Pair.of(Context.client(), far).shake() == (True, True)
    with pytest.raises(TypeError):
        fresh().load_default_certs("server")


def test_client_is_set_as_create_default_context_is() -> None:
    ours, theirs = Context.client(), ssl.create_default_context()
    assert ours.verify_mode == theirs.verify_mode == ssl.CERT_REQUIRED
    assert ours.check_hostname is theirs.check_hostname is True
    assert ours.verify_flags == theirs.verify_flags
    ignore = getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 1 << 7)
    assert ours.options == theirs.options & ~ignore
    assert ours.protocol is theirs.protocol


def test_verify_flags_reach_the_engine(tmp_path: Path) -> None:
    """A chain that stops at an anchor which is not self-signed: only with the partial-chain flag."""
    middle = make_identity("Middle", issuer=authority(), authority=True)
    far = stock_server(tmp_path, make_identity(SERVER, issuer=middle))
    near = trusting(cadata=middle.chain[0])
    near.verify_flags &= ~ssl.VERIFY_X509_PARTIAL_CHAIN
    with pytest.raises(TLSCertificateRefused):
        Pair.of(near, far).shake()
    near.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    assert Pair.of(near, far).shake() == (True, True)


def test_verification_is_not_switched_off_in_passing() -> None:
    for context in (fresh(), Context.client()):
        with pytest.raises(TLSMisuse):
            context.check_hostname = False
        with pytest.raises((TLSMisuse, ValueError)):
            context.verify_mode = ssl.CERT_NONE
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname


def test_danger_lets_verification_be_switched_off_loudly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    context = Context.client(danger_unverified_server=True)
    far = stock_server(tmp_path, make_identity("stranger.example"))
    with pytest.raises(TLSCertificateRefused):
        Pair.of(context, far).shake()
    with pytest.raises(ValueError, match="check_hostname"):
        context.verify_mode = ssl.CERT_NONE
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    pair = Pair.of(context, far)
    assert pair.shake() == (True, True)
    assert pair.near.getpeercert() == {}, "nobody vouches for what it says"
    context.check_hostname = True
    assert context.verify_mode is ssl.CERT_REQUIRED
    with pytest.raises(TLSCertificateRefused):
        Pair.of(context, far).shake()


def test_host_name_alone_can_be_left_unchecked_under_danger(tmp_path: Path) -> None:
    context = client(danger_unverified_server=True)
    context.check_hostname = False
    assert Pair.of(context, stock_server(tmp_path), host="other.example").shake() == (True, True)
    with pytest.raises(TLSCertificateRefused):
        Pair.of(context, stock_server(tmp_path, make_identity("x.example"))).shake()


def test_host_name_is_needed() -> None:
    for host in (None, "", ".example"):
        with pytest.raises(ValueError, match=r"hostname|label"):
            fresh().wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=host)


def test_revocation_lists(tmp_path: Path) -> None:
    """verify_flags and lists reach the engine together."""
    now = datetime.now(UTC)
    revoked = x509.RevokedCertificateBuilder().serial_number(server_identity().certificate.serial_number)
    crl = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority().certificate.subject)
        .last_update(now - timedelta(days=1))
        .next_update(now + timedelta(days=1))
        .add_revoked_certificate(revoked.revocation_date(now - timedelta(hours=1)).build())
        .sign(authority().key, hashes.SHA256())
    )
    file = tmp_path / "authorities.pem"
    file.write_bytes(certificates_to_pem([authority().chain[0]]) + crl.public_bytes(Encoding.PEM))
    near, far = trusting(cafile=file), stock_server(tmp_path)
    assert Pair.of(near, far).shake() == (True, True)
    near.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    with pytest.raises(TLSCertificateRefused) as caught:
        Pair.of(near, far).shake()
    assert caught.value.verify_code == 23


# --- own credential


@pytest.mark.parametrize("password", [None, "secret", b"secret", bytearray(b"secret"), lambda: "secret"])
@pytest.mark.parametrize("one_file", [True, False])
def test_load_cert_chain(tmp_path: Path, password: Any, one_file: bool) -> None:
    identity = server_identity()
    encryption = NoEncryption() if password is None else BestAvailableEncryption(b"secret")
    key = identity.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    certificates = certificates_to_pem(identity.chain)
    certfile, keyfile = tmp_path / "c.pem", tmp_path / "k.pem"
    certfile.write_bytes(certificates + key if one_file else certificates)
    keyfile.write_bytes(key)
    far = Context(ssl.PROTOCOL_TLS_SERVER)
    far.load_cert_chain(certfile, None if one_file else keyfile, password)
    assert Pair.of(stock_client(), far).shake() == (True, True)


def test_bad_cert_chains_are_errors_at_once(tmp_path: Path) -> None:
    own, other = make_identity("a.example"), make_identity("b.example")
    far = Context(ssl.PROTOCOL_TLS_SERVER)
    file, key = tmp_path / "c.pem", tmp_path / "k.pem"
    file.write_bytes(certificates_to_pem(own.chain))
    key.write_bytes(other.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(FileNotFoundError):
        far.load_cert_chain(tmp_path / "missing.pem")
    for arguments in ((file,), (key,), (file, key)):
        with pytest.raises(ssl.SSLError):
            far.load_cert_chain(*arguments)
    key.write_bytes(own.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    for password in (None, "wrong"):
        with pytest.raises(ssl.SSLError):
            far.load_cert_chain(file, key, password)


# --- debugging


def test_key_log(tmp_path: Path) -> None:
    near, log = client(), tmp_path / "keys.log"
    assert near.keylog_filename is None
    near.keylog_filename = log
    assert near.keylog_filename == str(log)
    assert Pair.of(near, stock_server(tmp_path)).shake() == (True, True)
    labels = {line.split()[0] for line in log.read_text().splitlines()}
    assert {"CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0"} <= labels
    assert log.stat().st_mode & 0o777 == 0o600
    size = log.stat().st_size
    near.keylog_filename = None
    Pair.of(near, stock_server(tmp_path)).shake()
    assert log.stat().st_size == size
    with pytest.raises(OSError, match="directory"):
        near.keylog_filename = tmp_path / "missing" / "keys.log"


def test_key_log_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys.log"))
    assert Context.client().keylog_filename == str(tmp_path / "keys.log")
    assert "keys.log" in caplog.text, "said loudly"
    assert not sys.flags.ignore_environment


# --- a door's settings are the door's


def test_door_cannot_be_lowered() -> None:
    """CA-02."""
    context = door()
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    for lower in (
        lambda: setattr(context, "minimum_version", ssl.TLSVersion.TLSv1_2),
        lambda: setattr(context, "maximum_version", ssl.TLSVersion.TLSv1_2),
        lambda: setattr(context, "options", context.options | ssl.OP_NO_TLSv1_3),
        lambda: setattr(context, "verify_mode", ssl.CERT_NONE),
        lambda: setattr(context, "check_hostname", True),
    ):
        with pytest.raises(TLSMisuse):
            lower()
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert door(policy="optional").verify_mode is ssl.CERT_OPTIONAL


def test_own_members_are_checked() -> None:
    own = credential()
    for wrong in (
        lambda: client(None, name="car54._device.cars.example"),
        lambda: client(None, raw_public_key=True),
        lambda: client(own, name="*.cars.example"),
        lambda: client(own, clientid=0x10000),
        lambda: client(own, clientid=0xFF01),
        lambda: client(credential(None), raw_public_key=True),
        lambda: client(own.as_raw_key(), raw_public_key=False),
        lambda: client(own, server_tlsa="require"),
        lambda: client(own, server_tlsa="perhaps"),
        lambda: door(policy="whatever"),
        lambda: door(claim_from=[]),
        lambda: door(claim_from=["stated"]),
        lambda: door(claim_from=["hearsay"]),
        lambda: door(handshakes_at_once=0),
        lambda: client().handshake_slots,
        lambda: client().authenticator,
    ):
        with pytest.raises(Misuse):
            wrong()


def test_stock_loop_is_refused_and_told_why_once(caplog: pytest.LogCaptureFixture) -> None:
    context = door()
    for _ in range(3):
        made = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
        for call in (made.do_handshake, made.read, lambda: made.write(b"x")):  # noqa: B023 (called at once)
            with pytest.raises(TLSMisuse):
                call()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
