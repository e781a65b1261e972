"""Any octets and any text: a value, or one line and an exit code; never a defect, never a traceback."""

import io
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dnsbound.cli.app import run
from dnsbound.cli.configuration import Configuration
from dnsbound.cli.key_material import parse_key_material
from dnsbound.credential.credential import Credential
from dnsbound.errors import DnsboundError
from dnsbound.provision.owner import OwnerName

GOOD = Credential.generate("car54._device.cars.example", now=1_700_000_000)
REQUEST = (
    x509.CertificateSigningRequestBuilder()
    .subject_name(x509.Name([]))
    .add_extension(x509.SubjectAlternativeName([x509.DNSName("a.example"), x509.DNSName("b.example")]), critical=False)
    .sign(GOOD.private_key, hashes.SHA256())
    .public_bytes(Encoding.DER)
)
SAMPLES = [GOOD.to_pem(), GOOD.chain[0], GOOD.spki, GOOD.private_key_der(), REQUEST]
FAST = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])

damaged = st.builds(
    lambda sample, position, octets: sample[:position] + octets + sample[position + len(octets) :],
    st.sampled_from(SAMPLES),
    st.integers(0, 1200),
    st.binary(max_size=8),
)
blocks = st.builds(
    lambda label, body: b"-----BEGIN " + label + b"-----\n" + body + b"\n-----END " + label + b"-----\n",
    st.sampled_from([b"CERTIFICATE", b"CERTIFICATE REQUEST", b"PUBLIC KEY", b"PRIVATE KEY", b"RSA PUBLIC KEY", b"X"]),
    st.binary(max_size=60) | st.just(b"MAA=") | st.just(b"MIIB"),
)


@FAST
@given(st.binary(max_size=300) | damaged | blocks)
@example(b"-----BEGIN PUBLIC KEY-----")
@example(b"\x30\x80")
def test_any_octets_are_key_material_or_malformed(octets):
    try:
        material = parse_key_material(octets, "here")
    except DnsboundError:
        return
    assert material.spki
    again = parse_key_material(material.spki, "here")
    assert again.spki == material.spki


def ran(arguments, octets=b""):
    """Run in this process without fixtures, which hypothesis would share between examples."""
    out, err, stdin = io.StringIO(), io.StringIO(), sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(octets))
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = run(arguments)
    finally:
        sys.stdin = stdin
    return code, out.getvalue(), err.getvalue()


def assert_told(code, errors):
    assert code in {0, 1, 2, 3}
    assert "internal error" not in errors
    assert "Traceback" not in errors
    assert code == 0 or len(errors.splitlines()) == 1


@FAST
@given(st.binary(max_size=300) | damaged | blocks)
def test_record_of_anything(octets):
    code, _, errors = ran(["record", "-"], octets)
    assert_told(code, errors)


words = st.text(max_size=40).filter(lambda text: "\x00" not in text and not text.startswith("-"))


@FAST
@given(words, words, words)
@example("\ud800", "A", "192.0.2.1")
@example("a.cars.example", "A", "\udcff")
@example("a.cars.example", "TLSA", "3 1 1 " + "\u0661" * 64)
@example("a.cars.example", "DS", "1 13 2 zz")
@example("a.cars.example", "AAAA", "::ffff:1.2.3.4")
@example("a.cars.example", "A", "\\# 4 01020304")
@example("a.cars.example", "CNAME", "a\\.b.example.")
@example("a.cars.example", "NS", '"')
def test_any_words_as_names_types_and_data(inventory_path, owner, rdtype, data):
    code, _, errors = ran(["zone", "publish", owner, rdtype, data, "--inventory", str(inventory_path)])
    assert_told(code, errors)
    code, _, errors = ran(["id", "show", owner, "--inventory", str(inventory_path)])
    assert_told(code, errors)


@FAST
@given(st.sampled_from(["A", "AAAA", "CNAME", "DS", "NS", "TLSA"]), words)
def test_any_data_of_the_types_that_are_published(inventory_path, rdtype, data):
    code, _, errors = ran(["zone", "publish", "a.cars.example", rdtype, data, "--inventory", str(inventory_path)])
    assert_told(code, errors)


@pytest.fixture(scope="module")
def inventory_path():
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "inventory.db"
        assert ran(["zone", "create", "cars.example", "--inventory", str(path)])[0] == 0
        yield path


@FAST
@given(st.text(max_size=80))
def test_owner_names_are_exact_inverses(text):
    try:
        name = OwnerName.parse(text, wildcard=True)
    except DnsboundError:
        return
    assert OwnerName.parse(name.text, wildcard=True) == name
    assert OwnerName.parse(name.absolute, wildcard=True).text == name.text
    assert ".".join(reversed(name.sort_key.split("."))) == name.text


labels = st.text("ab-_", min_size=1, max_size=3)
names = st.lists(labels, min_size=1, max_size=4).map(".".join)


@FAST
@given(names, names)
def test_below_is_a_range_of_sort_keys(one, other):
    lower, upper = OwnerName.parse(one), OwnerName.parse(other)
    start, end = upper.below
    below = lower.text.endswith(f".{upper.text}")
    assert (start <= lower.sort_key < end) == below
    assert lower.is_at_or_below(upper) == (below or lower == upper)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
keys = st.sampled_from(sorted(Configuration.__dataclass_fields__)) | st.text(max_size=5)


@FAST
@given(st.dictionaries(keys, values, max_size=4))
def test_any_configuration_is_read_or_malformed(table):
    try:
        configuration = Configuration.parse(table, where=Path("/etc/dnsbound.toml"))
    except DnsboundError:
        return
    assert set(table) <= set(Configuration.__dataclass_fields__)
    assert all(isinstance(entry, str) for entry in configuration.resolver)
