"""`dnsbound sign` and `dnsbound verify` on World: files, batches and tokens, in every way they are signed."""

import json
import os
import time

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.edge.credential_files import save_credential
from dnsbound.errors import Reason
from dnsbound.object_limits import ATTACHED_OCTETS, CHUNK_OCTETS
from dnsbound.objects import jose
from dnsbound.testing.faults import Fault

NAME = "car54._device.cars.example"
CONTENT = os.urandom(3 * CHUNK_OCTETS.default + 7)


@pytest.fixture
def car(in_world):
    car = in_world.organisation("cars.example").device("car54")
    yield car
    car.revoke()


@pytest.fixture
def credential(car, tmp_path):
    path = tmp_path / "car54.pem"
    save_credential(car.credential, path)
    return path


@pytest.fixture
def big(tmp_path):
    path = tmp_path / "here" / "big.mp4"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def sign(dnsbound, credential):
    def signed(*arguments, code=0, **options):
        ran = dnsbound("sign", *arguments, "--credential", credential, **options)
        assert ran.code == code, ran.err
        return ran

    return signed


@pytest.fixture
def verify(dnsbound):
    """Outcome of each file: its word and its reason."""

    def verified(*arguments, signer=NAME, code=None, **options):
        ran = dnsbound("verify", *arguments, "--from", signer, "--json", **options)
        told = [json.loads(line) for line in ran.lines]
        found = [(each["outcome"], each["reason"] and Reason(each["reason"])) for each in told]
        assert code is None or ran.code == code, (ran, found)
        return ran.code, found, told

    return verified


WAYS = ["", "--attached", "--detached", "--chunks"]


@pytest.mark.parametrize("way", WAYS)
def test_bg_01_what_is_signed_verifies_and_says_by_whom(sign, verify, tmp_path, car, way):
    small = tmp_path / "here" / "note.txt"
    small.write_bytes(b"a note\xff")
    sign(small, *filter(None, [way]))
    assert (tmp_path / "here" / "note.txt.jws").read_bytes().count(b".") == 2
    code, found, [told] = verify(small)
    assert (code, found) == (0, [("yes", None)])
    assert (told["name"], told["record"]) == (NAME, car.record.to_text())
    assert told["algorithm"] == "ES256"


@pytest.mark.parametrize("way", ["", "--attached", "--detached"])
def test_cb_12_the_same_in_cose(sign, verify, tmp_path, way):
    """Inside the signature, or as the digest of what lies outside it (RFC 9995)."""
    small = tmp_path / "here" / "note.txt"
    small.write_bytes(b"a note\xff")
    sign(small, "--format", "cose", *filter(None, [way]))
    signature = small.with_name("note.txt.cose")
    assert signature.read_bytes()[:1] == b"\xd2"
    assert (b"a note" in signature.read_bytes()) == (way == "--attached")
    code, found, [told] = verify(small, "--signature", signature)
    assert (code, found) == (0, [("yes", None)])
    assert (told["name"], told["algorithm"]) == (NAME, "ES256")
    small.write_bytes(b"a note\xfe")
    assert verify(small, "--signature", signature)[:2] == (1, [("no", Reason.CONTENT_MISMATCH)])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("change", [b"", b"a note\xfe", b"a note\xff\n", b"a not"])
def test_bg_02_other_content_is_refused(sign, verify, tmp_path, way, change):
    small = tmp_path / "here" / "note.txt"
    small.write_bytes(b"a note\xff")
    sign(small, *filter(None, [way]))
    small.write_bytes(change)
    code, [(_, reason)], _ = verify(small)
    short = way == "--chunks" and len(change) < 7
    assert code == (3 if short else 1)
    expected = Reason.BAD_SIGNATURE if way == "--detached" else Reason.CONTENT_MISMATCH
    assert reason is (Reason.INCOMPLETE if short else expected)


@pytest.mark.parametrize("way", ["", "--detached", "--chunks"])
def test_large_files_come_by_pipe_as_well(sign, verify, big, way):
    sign(big, *filter(None, [way]))
    signature = f"{big}.jws"
    assert verify("-", "--signature", signature, stdin=CONTENT)[0] == 0
    assert verify("-", "--signature", signature, stdin=CONTENT[:-1])[0] != 0
    assert verify("-", "--signature", signature, stdin=CONTENT + b"x")[0] == 1


def test_a_chunk_list_says_which_octets_are_wrong(sign, verify, dnsbound, big):
    sign(big, "--chunks")
    chunk = CHUNK_OCTETS.default
    spoiled = bytearray(CONTENT)
    spoiled[chunk + 3] ^= 1
    spoiled[-1] ^= 1
    big.write_bytes(spoiled)
    code, [(_, reason)], [told] = verify(big)
    assert (code, reason) == (1, Reason.CONTENT_MISMATCH)
    assert told["wrong"] == [[chunk, 2 * chunk], [3 * chunk, 3 * chunk + 7]]
    assert f"octets {chunk} to {2 * chunk - 1}" in dnsbound("verify", big, "--from", NAME).out


def test_bg_04_the_signer_must_be_somebody_who_was_expected(sign, verify, big, in_world):
    sign(big)
    before = len(in_world.queries)
    code, [(_, reason)], [told] = verify(big, signer="car55._device.cars.example")
    assert (code, reason) == (1, Reason.NOT_PERMITTED)
    assert told["claimed"] == NAME
    assert len(in_world.queries) == before


def test_bg_03_verifying_without_an_expected_signer_is_wrong_use_and_says_why(sign, dnsbound, big, tmp_path):
    sign(big)
    for arguments in ((), ("--access", tmp_path / "access.toml")):
        ran = dnsbound("verify", big, *arguments)
        assert ran.code == 2
        assert "who may have signed" in ran.err
    assert dnsbound("verify", big, "--from", NAME, "--door", "reports").code == 2


def test_an_access_list_says_who_may_have_signed(sign, dnsbound, big, tmp_path):
    sign(big)
    access = tmp_path / "access.toml"
    access.write_text(f'[door.reports]\nallow = ["{NAME}"]\n[door.other]\nallow = ["a.example"]\n')
    assert dnsbound("verify", big, "--access", access, "--door", "reports").code == 0
    assert dnsbound("verify", big, "--access", access, "--door", "other").code == 1


def test_a_signature_holds_no_longer_than_its_signers_record(sign, verify, big, car):
    sign(big)
    car.revoke()
    code, [(_, reason)], _ = verify(big)
    assert (code, reason) == (1, Reason.NO_TLSA)


def test_what_the_dns_does_not_say_is_undecided(sign, verify, big, in_world):
    sign(big)
    in_world.fault(NAME, Fault.SERVFAIL)
    try:
        code, [(word, reason)], _ = verify(big)
    finally:
        in_world.heal(NAME)
    assert (code, word, reason) == (3, "undecided", Reason.DNS_FAILED)


def test_somebody_else_signing_in_the_cars_name_is_refused(dnsbound, verify, big, car, tmp_path):
    mallory = tmp_path / "mallory.pem"
    save_credential(Credential.generate(NAME, now=time.time()), mallory)
    assert dnsbound("sign", big, "--credential", mallory).code == 0
    code, [(_, reason)], _ = verify(big)
    assert (code, reason) == (1, Reason.TLSA_MISMATCH)


@pytest.fixture
def route(tmp_path):
    base = tmp_path / "here" / "route"
    (base / "deep").mkdir(parents=True)
    for path in ("1.mp4", "2.mp4", "deep/später.txt", "empty"):
        (base / path).write_bytes(path.encode() if path != "empty" else b"")
    return base


def test_a_directory_is_one_manifest(sign, verify, route):
    sign(route)
    code, found, told = verify(route)
    assert (code, len(found)) == (0, 4)
    assert [each["file"] for each in told] == [
        str(route / path) for path in ("1.mp4", "2.mp4", "deep/später.txt", "empty")
    ]
    # The manifest alone finds its files, too, from where it is; --base says where else they are.
    assert verify(f"{route}.jws", code=1)[1][0] == ("no", Reason.CONTENT_MISMATCH)
    assert verify(f"{route}.jws", "--base", route)[0] == 0


@pytest.mark.parametrize("change", ["missing", "changed", "added", "link", "swapped"])
def test_bg_06_a_directory_that_is_not_as_it_was_signed_is_refused(sign, verify, route, change):
    sign(route)
    match change:
        case "missing":
            (route / "1.mp4").unlink()
        case "changed":
            (route / "1.mp4").write_bytes(b"other")
        case "added":
            (route / "9.mp4").write_bytes(b"other")
        case "link":
            (route / "1.mp4").rename(route.parent / "1.mp4")
            (route / "1.mp4").symlink_to(route.parent / "1.mp4")
        case "swapped":
            (route / "1.mp4").rename(route / "0.mp4")
            (route / "2.mp4").rename(route / "1.mp4")
            (route / "0.mp4").rename(route / "2.mp4")
    code, found, _ = verify(route)
    assert code == 1
    assert {reason for _, reason in found if reason} <= {Reason.CONTENT_MISMATCH, Reason.INCOMPLETE}
    if change == "added":
        assert verify(route, "--danger-unsigned-files")[0] == 0


def test_several_files_go_into_one_manifest_below_it(sign, verify, route):
    batch = route.parent / "batch.jws"
    sign(route / "1.mp4", route / "deep", "--out", batch)
    assert verify(batch)[0] == 0
    assert verify(route / "1.mp4", "--signature", batch)[0] == 0
    code, [(_, reason)], _ = verify(route / "2.mp4", "--signature", batch)
    assert (code, reason) == (1, Reason.CONTENT_MISMATCH)
    assert verify(route / "1.mp4", route / "deep" / "später.txt", "--signature", batch)[0] == 0


def test_a_manifest_elsewhere_cannot_name_files_above_it(sign, route, tmp_path):
    outside = tmp_path / "outside"
    outside.write_bytes(b"x")
    sign(outside, route / "1.mp4", "--out", route / "batch.jws", code=2)


@pytest.mark.parametrize("path", ["../outside", "/etc/hostname", "a/../../outside", "deep"])
def test_bg_05_paths_of_a_signed_manifest_lead_nowhere_else(dnsbound, car, route, path):
    """Even a permitted signer cannot make a verifier read outside the directory."""
    (route.parent / "outside").write_bytes(b"x")
    listed = {"made": "2026-11-22T16:00:00Z", "files": [{"path": path, "size": 1, "sha256": "0" * 64}]}
    token = jose.sign(json.dumps(listed).encode(), car.credential, typ="dnsbound-manifest")
    (route / "batch.jws").write_text(token)
    ran = dnsbound("verify", route / "batch.jws", "--from", NAME)
    assert ran.code == (3 if path == "deep" else 2)
    assert "yes" not in ran.out


def test_links_on_the_way_are_not_followed(sign, verify, route):
    sign(route)
    (route / "deep").rename(route.parent / "elsewhere")
    (route / "deep").symlink_to(route.parent / "elsewhere")
    code, found, _ = verify(f"{route}.jws", "--base", route)
    assert code == 1
    assert [word for word, _ in found] == ["yes", "yes", "no", "yes"]


def test_links_and_pipes_are_not_signed(sign, route):
    (route / "link").symlink_to("1.mp4")
    assert "link" in sign(route, code=2).err
    (route / "link").unlink()
    os.mkfifo(route / "pipe")
    assert "pipe" in sign(route, code=2).err
    assert not (route.parent / "route.jws").exists()


def test_standard_input_goes_inside_and_comes_out_again(sign, dnsbound, car):
    token = sign("-", stdin=b"hello").out
    ran = dnsbound("verify", "-", "--from", NAME, "--payload", stdin=token.encode())
    assert (ran.code, ran.out) == (0, "hello")
    ran = dnsbound("verify", "-", "--from", "other.example", "--payload", stdin=token.encode())
    assert (ran.code, "hello" in ran.out) == (1, False)


def test_large_standard_input_is_signed_from_outside(sign, verify, big):
    sign("-", stdin=bytes(ATTACHED_OCTETS.default + 1), code=2)
    sign("-", "--path", "big.mp4", "--out", f"{big}.jws", stdin=CONTENT)
    assert verify(big)[0] == 0
    sign("-", "--detached", "--out", f"{big}.jws", "--force", stdin=CONTENT)
    assert verify(big)[0] == 0


def test_a_signature_that_is_there_stays_unless_it_is_forced(sign, big):
    sign(big)
    before = big.with_name("big.mp4.jws").read_bytes()
    assert "--force" in sign(big, "--chunks", code=2).err
    assert big.with_name("big.mp4.jws").read_bytes() == before
    sign(big, "--chunks", "--force")


def test_tokens_of_others_are_verified_by_their_claims_too(verify, car, tmp_path):
    token = tmp_path / "token"
    now = time.time()
    token.write_text(jose.sign_jwt({"aud": "gov.example"}, car.credential, now=now, lifetime=60))
    assert verify(token, "--audience", "gov.example")[0] == 0
    assert verify(token)[1] == [("no", Reason.WRONG_AUDIENCE)]
    token.write_text(jose.sign_jwt({}, car.credential, now=now - 3600, lifetime=60))
    assert verify(token)[1] == [("no", Reason.STALE)]
    token.write_text(jose.sign(b"x", car.credential, typ="other"))
    assert verify(token, "--typ", "other")[0] == 0


@pytest.mark.parametrize("octets", [b"", b"no signature", b"eyJ", b"eyJh.eyJh.eyJh", b"..", b"eyJhbGciOiJub25lIn0.."])
def test_what_is_no_signature_is_malformed(dnsbound, big, in_world, octets):
    (big.parent / "big.mp4.jws").write_bytes(octets)
    ran = dnsbound("verify", big, "--from", NAME)
    assert (ran.code, ran.out) == (2, "")
    assert len(ran.err.splitlines()) == 1


def test_files_that_have_no_signature_are_wrong_use(dnsbound, in_world, big):
    for file in (big, big.parent / "nothing", big.parent):
        assert dnsbound("verify", file, "--from", NAME).code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("--attached", "--chunks"),
        ("--follow", "1"),
        ("--copy", "x"),
        ("--typ", "x"),
        ("--format", "pdf"),
        ("--type", "video"),
        ("--begin", "yesterday"),
        ("--path", "x"),
    ],
    ids=" ".join,
)
def test_options_that_do_not_belong_together_are_wrong_use(sign, big, arguments):
    sign(big, *arguments, code=2)
    assert not (big.parent / "big.mp4.jws").exists()


def test_a_key_that_cannot_sign_what_goes_by_says_what_to_do(dnsbound, verify, big, tmp_path, in_world):
    own = Credential.generate("ed._device.cars.example", now=time.time(), algorithm=KeyAlgorithm.ED25519)
    save_credential(own, tmp_path / "ed.pem")
    ran = dnsbound("sign", big, "--detached", "--credential", tmp_path / "ed.pem")
    assert (ran.code, "manifest" in ran.err) == (2, True)
    assert dnsbound("sign", big, "--credential", tmp_path / "ed.pem").code == 0


def test_what_is_recorded_is_described(sign, verify, dnsbound, big):
    sign(big, "--begin", "2026-11-22T15:00:00Z", "--end", "2026-11-22T16:00:00Z")
    assert verify(big)[2][0]["type"] == "video/mp4"
    listed = json.loads(dnsbound("verify", f"{big}.jws", "--from", NAME, "--json").lines[0])
    assert listed["file"].endswith("big.mp4")
