"""Any octets at any reader: rows and nothing else, no private key among them, and an end."""

import io

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dnsbound.provision.adoption.candidate import BadRow, Candidate, PassedOver, Problem, Row, RowFault
from dnsbound.provision.adoption.formats import READERS, Format, format_of
from dnsbound.provision.adoption.source import ReadingRules, Source
from unit.adoption_sources import b64, certificate, public_pem, spki

ROW = 2048
FORMATS = st.sampled_from(list(Format))
SECRET = ec.generate_private_key(ec.SECP256R1())
SCALAR = SECRET.private_numbers().private_value.to_bytes(32, "big")
PRIVATE = [
    SECRET.private_bytes(encoding, form, protection)
    for encoding in (Encoding.PEM, Encoding.DER)
    for form, protection in (
        (PrivateFormat.PKCS8, NoEncryption()),
        (PrivateFormat.TraditionalOpenSSL, NoEncryption()),
        (PrivateFormat.PKCS8, BestAvailableEncryption(b"password")),
    )
]
PIECES = st.sampled_from(
    [
        *(
            b"name,public_key\n",
            b"\n",
            b'"',
            b",",
            b";",
            b"{",
            b"}",
            b"[",
            b"]",
            b'"name"',
            b":",
            b"car54.cars.example",
        ),
        *(b64(spki()).encode(), public_pem(), certificate(), spki().hex().encode(), b"\xef\xbb\xbf", b"\xff", b"\0"),
        *(b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n", b"ssh-ed25519 AAAA", b'"public_key":'),
        *PRIVATE,
    ]
)
OCTETS = st.binary(max_size=400) | st.lists(PIECES | st.binary(max_size=8), max_size=12).map(b"".join)


def read(octets: bytes, format_: Format) -> list[Row]:
    rules = ReadingRules(row_octets=ROW)
    return list(READERS[format_](Source(label="x", stream=io.BytesIO(octets), stem="x", rules=rules)))


@settings(max_examples=400, deadline=None)
@given(OCTETS, FORMATS)
@example(b'name,public_key\n"', Format.TABLE)
@example(b"[" * 3000, Format.JSON)
@example(b'{"a":' * 3000, Format.JSON_LINES)
def test_any_octets_are_rows_without_a_private_key(octets: bytes, format_: Format) -> None:
    found = read(octets, format_)
    assert len(found) <= len(octets) + 1
    for row in found:
        assert isinstance(row, Candidate | BadRow | PassedOver)
        told = repr(row)
        assert not any(form in told for form in (SCALAR.hex(), b64(SCALAR)[:16], repr(SCALAR)[2:20]))
        if isinstance(row, Candidate):
            assert SCALAR not in row.spki + (row.certificate or b"")


@settings(max_examples=200, deadline=None)
@given(OCTETS, st.sampled_from(["x", "x.csv", "x.jsonl", "x.pem"]))
def test_any_octets_are_of_a_format_or_of_none(octets: bytes, name: str) -> None:
    try:
        format_ = format_of(octets, name, {})
    except RowFault:
        return
    assert format_ in READERS


@pytest.mark.parametrize("octets", PRIVATE)
def test_private_keys_are_told_apart(octets: bytes) -> None:
    [row] = read(octets, format_of(octets, "x", {}))
    assert isinstance(row, BadRow)
    assert row.problem is Problem.PRIVATE_KEY


@pytest.mark.parametrize("format_", Format)
def test_a_stream_without_an_end_of_line_is_not_kept(format_: Format) -> None:
    """Twenty megabytes of one character: a row or two, and no more memory than a row's."""

    class Endless:
        left = 20_000_000
        asked = 0

        def read(self, size: int, /) -> bytes:
            self.asked = max(self.asked, size)
            given = min(size, self.left)
            self.left -= given
            return b"a" * given

        readline = read

    stream = Endless()
    rules = ReadingRules(row_octets=ROW)
    found = list(READERS[format_](Source(label="x", stream=stream, stem=None, rules=rules)))
    assert all(isinstance(row, BadRow) for row in found)
    assert len(found) <= 2
    assert stream.asked <= 200_000
