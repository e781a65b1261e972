"""TSIG against dnspython's implementation of it, and against everything that is not quite a signed response."""

import base64
import time

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.tsig
import pytest

from dnsbound.dns.tsig import FUDGE, SignedRequest, Standing, TsigKey
from dnsbound.errors import Malformed

SECRET = base64.b64encode(b"s" * 40).decode()
ALGORITHMS = ("hmac-sha256", "hmac-sha384", "hmac-sha512")


def key(algorithm: str = "hmac-sha256", *, name: str = "upd", secret: bytes = b"s" * 40) -> TsigKey:
    return TsigKey.parse(f"{algorithm}:{name}:{base64.b64encode(secret).decode()}")


def theirs(ours: TsigKey) -> dict[dns.name.Name, dns.tsig.Key]:
    return {ours.name: dns.tsig.Key(ours.name, ours.secret, ours.algorithm)}


def request(ours: TsigKey, *, now: float) -> SignedRequest:
    return ours.sign(dns.message.make_query("cars.example", "TLSA").to_wire(), now=now)


def response(ours: TsigKey, asked: SignedRequest, *, error: int = 0, signed: bool = True) -> bytes:
    query = dns.message.from_wire(asked.wire, keyring=theirs(ours))
    answer = dns.message.make_response(query, tsig_error=error)
    if not signed:
        answer.tsig = None
        answer.keyring = None
    return answer.to_wire()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_both_sides_agree_with_dnspython(algorithm: str) -> None:
    ours, now = key(algorithm), time.time()
    asked = request(ours, now=now)
    read = dns.message.from_wire(asked.wire, keyring=theirs(ours))
    assert read.had_tsig
    assert read.mac == asked.mac
    assert ours.standing(response(ours, asked), asked, now=now) is Standing.AUTHENTIC


def test_what_is_not_authentic() -> None:
    ours, now = key(), time.time()
    asked = request(ours, now=now)
    good = response(ours, asked)
    assert ours.standing(response(ours, asked, signed=False), asked, now=now) is Standing.UNSIGNED
    assert ours.standing(good, request(ours, now=now - 1), now=now) is Standing.FORGED
    assert key(name="other").standing(good, asked, now=now) is Standing.FORGED
    assert key("hmac-sha512").standing(good, asked, now=now) is Standing.FORGED
    assert key(secret=b"t" * 40).standing(good, asked, now=now) is Standing.FORGED
    changed = good[:3] + bytes((good[3] ^ 5,)) + good[4:]
    assert ours.standing(changed, asked, now=now) is Standing.FORGED


@pytest.mark.parametrize(("ahead", "expected"), [(FUDGE - 2, Standing.AUTHENTIC), (FUDGE + 2, Standing.OUT_OF_TIME)])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_time_is_an_argument(ahead: int, expected: Standing, sign: int) -> None:
    ours, now = key(), time.time()
    asked = request(ours, now=now)
    assert ours.standing(response(ours, asked), asked, now=now + sign * ahead) is expected


def test_errors_of_the_server_are_told_apart() -> None:
    ours, now = key(), time.time()
    asked = request(ours, now=now)
    for error, expected in (
        (dns.rcode.BADTIME, Standing.TIME_REFUSED),
        (dns.rcode.BADTRUNC, Standing.OTHER_ERROR),
    ):
        assert ours.standing(response(ours, asked, error=error), asked, now=now) is expected
    for error, expected in (
        (dns.rcode.BADKEY, Standing.KEY_UNKNOWN),
        (dns.rcode.BADSIG, Standing.SIGNATURE_REFUSED),
    ):
        assert ours.standing(without_mac(response(ours, asked, error=error)), asked, now=now) is expected


def without_mac(wire: bytes) -> bytes:
    """What servers send with BADKEY and BADSIG: the TSIG record with an empty MAC (RFC 8945 section 5.3.2)."""
    octets = 32
    length = octets.to_bytes(2, "big")
    at = wire.rindex(length, 0, len(wire) - octets)
    tail = wire[at + 2 + octets :]
    start = wire.rindex(b"\x00\xfa\x00\xff")
    size = int.from_bytes(wire[start + 8 : start + 10], "big") - octets
    return wire[: start + 8] + size.to_bytes(2, "big") + wire[start + 10 : at] + b"\x00\x00" + tail


def test_every_cut_and_every_flipped_octet_is_handled() -> None:
    ours, now = key(), time.time()
    asked = request(ours, now=now)
    good = response(ours, asked)
    for end in range(len(good)):
        with pytest.raises(Malformed):
            ours.standing(good[:end], asked, now=now)
    for at in range(2, len(good)):  # The id is not signed: TSIG carries its own.
        changed = good[:at] + bytes((good[at] ^ 0x41,)) + good[at + 1 :]
        try:
            assert ours.standing(changed, asked, now=now) is not Standing.AUTHENTIC
        except Malformed:
            continue


@pytest.mark.parametrize(
    "text",
    [
        f"hmac-sha256:upd:{SECRET}",
        f"upd:hmac-sha256:{SECRET}\n",
        f'key "upd" {{\n  algorithm hmac-sha256;\n  secret "{SECRET}";\n}};\n',
        f'// made by tsig-keygen\nkey upd {{ secret "{SECRET}"; /* x */ algorithm HMAC-SHA256.; }};',
        f"# hmac-sha256:upd:{SECRET}\nkey:\n  - id: upd.\n    algorithm: hmac-sha256\n    secret: {SECRET}\n",
    ],
)
def test_key_files_of_other_programs(text: str) -> None:
    assert TsigKey.parse(text) == key()


def test_a_secret_may_contain_two_slashes() -> None:
    octets = base64.b64decode("//" * 16)
    secret = base64.b64encode(octets).decode()
    assert "//" in secret
    assert TsigKey.parse(f'key upd {{ algorithm hmac-sha256; secret "{secret}"; }};').secret == octets


@pytest.mark.parametrize(
    "text",
    [
        "",
        "upd",
        f"upd:{SECRET}",
        f"hmac-md5:upd:{SECRET}",
        f"hmac-sha1:upd:{SECRET}",
        "hmac-sha256:upd:not base64!",
        "hmac-sha256:upd:c2hvcnQ=",
        f"hmac-sha256:{'x' * 64}:{SECRET}",
        f'key upd {{ algorithm hmac-sha256; secret "{SECRET}"; extra yes; }};',
        f'key upd {{ secret "{SECRET}"; }};',
        f"hmac-sha256:upd:{SECRET}:more",
    ],
)
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        TsigKey.parse(text)
    assert SECRET not in str(caught.value)


def test_the_secret_is_not_shown() -> None:
    assert SECRET not in repr(key())
    assert "ssss" not in repr(key())
