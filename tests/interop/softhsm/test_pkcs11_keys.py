"""Keys on a PKCS #11 token, SoftHSM's: made there, found again, never taken out, and what goes wrong."""

import os
import secrets
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pkcs11
import pytest
from pkcs11.util.ec import encode_named_curve_parameters

from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import KeyAlgorithm, KeyFacts
from dnsbound.credential.pkcs11_uri import Pkcs11Uri
from dnsbound.credential.signature import verify_signature
from dnsbound.edge.pkcs11_keys import Pkcs11Key
from dnsbound.edge.pkcs11_token import MODULE_VARIABLE, PIN_VARIABLE, module_at
from dnsbound.errors import Misuse
from dnsbound.iana import SignatureScheme
from interop.tokens import PIN, TestToken

pytestmark = pytest.mark.peer("softhsm2-util")

MADE = [KeyAlgorithm.P256, KeyAlgorithm.ED25519, KeyAlgorithm.RSA2048]


def fresh() -> str:
    return f"key-{secrets.token_hex(6)}"


@pytest.fixture
def key(token: TestToken) -> Pkcs11Key:
    return Pkcs11Key.make(token.uri(fresh()))


@pytest.mark.parametrize("algorithm", MADE)
def test_a_key_made_on_the_token_signs(token: TestToken, algorithm: KeyAlgorithm) -> None:
    key = Pkcs11Key.make(token.uri(fresh()), algorithm)
    assert KeyFacts.from_spki(key.spki).algorithm == {"p256": "P-256", "ed25519": "Ed25519"}.get(algorithm, "RSA-2048")
    assert len(key.schemes) == (3 if algorithm is KeyAlgorithm.RSA2048 else 1)
    for scheme in key.schemes:
        verify_signature(key.spki, scheme, key.sign(b"message", scheme), b"message")
    with pytest.raises(Misuse, match="does not sign with"):
        key.sign(b"message", SignatureScheme.ECDSA_SECP384R1_SHA384)
    assert not key.needs_human


@pytest.mark.parametrize("algorithm", MADE)
def test_a_key_never_leaves_the_token(token: TestToken, algorithm: KeyAlgorithm) -> None:
    key = Pkcs11Key.make(token.uri(fresh()), algorithm)
    assert not key.is_extractable
    attribute = pkcs11.Attribute
    secret = attribute.PRIVATE_EXPONENT if algorithm is KeyAlgorithm.RSA2048 else attribute.VALUE

    def look(session: pkcs11.Session) -> None:
        [found] = session.get_objects({attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY, attribute.ID: key.uri.id})
        assert found[attribute.SENSITIVE]
        assert not found[attribute.EXTRACTABLE]
        assert found[attribute.ALWAYS_SENSITIVE]
        assert found[attribute.NEVER_EXTRACTABLE]
        with pytest.raises(pkcs11.AttributeSensitive):
            found[secret]

    key._token.use(look)


def test_a_key_is_found_again_by_its_uri(token: TestToken) -> None:
    made = Pkcs11Key.make(token.uri(fresh()))
    found = Pkcs11Key.open(made.uri.to_text())
    assert (found.spki, found.uri) == (made.spki, made.uri)
    assert found.uri.id is not None
    by_id = Pkcs11Key.open(token.uri(None, id=made.uri.id))
    assert by_id.uri == made.uri


@pytest.mark.parametrize(("curve", "scheme"), [("secp384r1", 0x0503), ("secp521r1", 0x0603)])
def test_keys_of_other_curves_made_elsewhere_are_used(token: TestToken, curve: str, scheme: int) -> None:
    name = fresh()

    def make(session: pkcs11.Session) -> None:
        parameters = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters(curve)}
        session.create_domain_parameters(pkcs11.KeyType.EC, parameters, local=True).generate_keypair(
            store=True, label=name, id=name.encode(), private_template={pkcs11.Attribute.EXTRACTABLE: True}
        )

    Pkcs11Key.make(token.uri(fresh()))._token.use_writable(make)
    key = Pkcs11Key.open(token.uri(name))
    assert key.schemes == (scheme,)
    assert key.is_extractable
    verify_signature(key.spki, scheme, key.sign(b"message", key.schemes[0]), b"message")


def test_a_curve_that_signs_no_handshake_is_refused(token: TestToken) -> None:
    name = fresh()

    def make(session: pkcs11.Session) -> None:
        parameters = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp224r1")}
        session.create_domain_parameters(pkcs11.KeyType.EC, parameters, local=True).generate_keypair(
            store=True, label=name, id=name.encode()
        )

    Pkcs11Key.make(token.uri(fresh()))._token.use_writable(make)
    with pytest.raises(Misuse, match="P-256, P-384, P-521 or Ed25519"):
        Pkcs11Key.open(token.uri(name))


def test_a_key_that_was_destroyed_is_gone(token: TestToken, key: Pkcs11Key) -> None:
    other = Pkcs11Key.open(key.uri)
    key.destroy()
    with pytest.raises(Misuse, match="not on the token any more"):
        other.sign(b"message", other.schemes[0])
    with pytest.raises(Misuse, match="no such private key"):
        Pkcs11Key.open(key.uri)


def test_a_name_that_is_taken_is_not_taken_again(token: TestToken, key: Pkcs11Key) -> None:
    with pytest.raises(Misuse, match="already"):
        Pkcs11Key.make(token.uri(key.uri.object))
    with pytest.raises(Misuse, match="needs a label"):
        Pkcs11Key.make(token.uri(None))
    with pytest.raises(Misuse, match="not made on tokens"):
        Pkcs11Key.make(token.uri(fresh()), KeyAlgorithm.MLDSA65)


def test_a_uri_that_fits_several_keys_names_none(token: TestToken, key: Pkcs11Key) -> None:
    Pkcs11Key.make(token.uri(fresh()))
    with pytest.raises(Misuse, match="keys fit"):
        Pkcs11Key.open(token.uri(None))


def test_signatures_go_on_after_a_reset(key: Pkcs11Key) -> None:
    """Another user of the module starts it again: sessions and handles are gone, once and then once more."""
    for _ in range(2):
        module_at(key.uri.module_path or "").start_again()
        verify_signature(key.spki, key.schemes[0], key.sign(b"message", key.schemes[0]), b"message")


def test_signatures_go_on_after_the_session_was_closed(key: Pkcs11Key) -> None:
    for _ in range(2):
        key._token.use(lambda session: session.close())
        verify_signature(key.spki, key.schemes[0], key.sign(b"message", key.schemes[0]), b"message")


def test_a_module_that_was_finalised_elsewhere_is_started_again(key: Pkcs11Key) -> None:
    pkcs11.lib(key.uri.module_path).finalize()
    verify_signature(key.spki, key.schemes[0], key.sign(b"message", key.schemes[0]), b"message")


def test_threads_share_a_key_and_a_token(token: TestToken, key: Pkcs11Key) -> None:
    other = Pkcs11Key.make(token.uri(fresh()), KeyAlgorithm.ED25519)
    failures: list[BaseException] = []

    def sign() -> None:
        try:
            for number in range(20):
                for used in (key, other):
                    message = b"%d" % number
                    verify_signature(used.spki, used.schemes[0], used.sign(message, used.schemes[0]), message)
        except BaseException as error:  # noqa: BLE001 (told by the thread that asks)
            failures.append(error)

    threads = [threading.Thread(target=sign) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []


def test_a_forked_child_signs_and_so_does_its_parent(key: Pkcs11Key) -> None:
    script = f"""
        import os
        from dnsbound.credential.signature import verify_signature
        from dnsbound.edge.pkcs11_keys import Pkcs11Key
        key = Pkcs11Key.open({key.uri.to_text()!r})
        child = os.fork()
        for _ in range(3):
            verify_signature(key.spki, key.schemes[0], key.sign(b"message", key.schemes[0]), b"message")
        if child:
            assert os.waitpid(child, 0)[1] == 0
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], check=False, capture_output=True, timeout=60, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_wrong_pin_is_said_once_and_tried_once(token: TestToken, tmp_path: Path) -> None:
    pin = tmp_path / "pin"
    pin.touch(mode=0o600)
    pin.write_text("4321\n")
    script = f"""
        from dnsbound.edge.pkcs11_keys import Pkcs11Key
        from dnsbound.errors import Misuse
        try:
            Pkcs11Key.open({token.uri("any", pin_source=str(pin)).to_text()!r})
        except Misuse as error:
            print(error)
        """
    # In a process of its own: a login is the process's, and here somebody is logged in.
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], check=True, capture_output=True, timeout=60, text=True
    )
    assert "the PIN is wrong" in done.stdout
    assert "4321" not in done.stdout
    assert done.stdout.count("\n") == 1


def in_a_process_of_its_own(uri: Pkcs11Uri, **environment: str) -> str:
    script = f"""
        from dnsbound.edge.pkcs11_keys import Pkcs11Key
        from dnsbound.errors import Misuse
        try:
            print(Pkcs11Key.open({uri.to_text()!r}).spki.hex())
        except Misuse as error:
            print(error)
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        check=True,
        capture_output=True,
        timeout=60,
        text=True,
        env=os.environ | environment,
    )
    return done.stdout.strip()


def test_the_pin_and_the_module_may_come_from_the_environment(key: Pkcs11Key) -> None:
    bare = Pkcs11Uri(token=key.uri.token, object=key.uri.object)
    module = {MODULE_VARIABLE: key.uri.module_path or ""}
    assert "wants a PIN" in in_a_process_of_its_own(bare, **module)
    assert in_a_process_of_its_own(bare, **module, **{PIN_VARIABLE: PIN}) == key.spki.hex()


def test_a_pin_file_that_others_may_read_is_refused(token: TestToken, key: Pkcs11Key, tmp_path: Path) -> None:
    pin = tmp_path / "pin"
    pin.write_text(PIN)
    pin.chmod(0o644)
    told = in_a_process_of_its_own(token.uri(key.uri.object, pin_source=str(pin)))
    assert "others may read" in told
    pin.chmod(0o600)
    assert in_a_process_of_its_own(token.uri(key.uri.object, pin_source=str(pin))) == key.spki.hex()
    pin.write_text("")
    assert "no PIN" in in_a_process_of_its_own(token.uri(key.uri.object, pin_source=str(pin)))


def test_what_cannot_be_found_is_said_in_one_line(token: TestToken, tmp_path: Path) -> None:
    for uri, words in (
        (Pkcs11Uri(token="other", module_path=token.module), "no such token"),
        (Pkcs11Uri(token=token.label, serial="00", module_path=token.module), "no such token"),
        (Pkcs11Uri(slot_id=4711, module_path=token.module), "no such token"),
        (token.uri("nothing"), "no such private key"),
        (Pkcs11Uri(module_path=str(tmp_path / "none.so")), "does not load"),
        (Pkcs11Uri(module_path="/etc/passwd"), "does not load"),
    ):
        with pytest.raises(Misuse, match=words) as refused:
            Pkcs11Key.open(uri)
        assert "\n" not in str(refused.value)


def test_a_credential_on_the_token(key: Pkcs11Key) -> None:
    made = Credential.for_signer("car54._device.cars.example", key, now=1_780_000_000.0)
    assert made.private_key is None
    with pytest.raises(Misuse, match="not in this process"):
        made.to_pem()
