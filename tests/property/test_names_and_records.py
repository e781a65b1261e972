"""Whatever the octets: a value that writes itself back, or Malformed."""

from hypothesis import example, given
from hypothesis import strategies as st

from dnsbound.errors import Malformed
from dnsbound.names import ClientName
from dnsbound.records.tlsa import TLSA

LABELS = st.text("abcXYZ019-_", min_size=1, max_size=63)


@given(st.lists(LABELS, min_size=2, max_size=6).map(".".join).filter(lambda text: len(text) <= 253))
def test_every_name_of_the_grammar_is_read(text: str) -> None:
    name = ClientName.parse(text)
    assert ClientName.from_wire(name.to_wire()).text == text
    assert ".".join(name.labels) == text.lower() == name.canonical


@given(st.binary(max_size=300))
@example(b"a.b\n")
@example(b"*.b")
def test_any_octets_are_a_name_of_the_grammar_or_malformed(octets: bytes) -> None:
    try:
        name = ClientName.from_wire(octets)
    except Malformed:
        return
    assert name.to_wire() == octets
    assert len(octets) <= 253
    labels = octets.split(b".")
    assert len(labels) >= 2
    for label in labels:
        assert 1 <= len(label) <= 63
        assert all(chr(octet).isascii() and (chr(octet).isalnum() or octet in b"-_") for octet in label)


@given(st.builds(TLSA, st.integers(0, 255), st.integers(0, 255), st.integers(0, 255), st.binary(max_size=200)))
def test_a_record_is_what_its_wire_form_and_its_text_say(record: TLSA) -> None:
    assert TLSA.from_wire(record.to_wire()) == record
    assert TLSA.from_text(record.to_text()) == record


@given(st.binary(max_size=200))
def test_any_octets_are_a_record_or_malformed(octets: bytes) -> None:
    try:
        record = TLSA.from_wire(octets)
    except Malformed:
        assert len(octets) < 3
        return
    assert record.to_wire() == octets


@given(st.text(max_size=100))
@example("3 1 1 \N{ARABIC-INDIC DIGIT ONE}\N{ARABIC-INDIC DIGIT ONE}")
@example("\N{SUPERSCRIPT TWO} 1 1 00")
def test_any_text_is_a_record_or_malformed(text: str) -> None:
    try:
        record = TLSA.from_text(text)
    except Malformed:
        return
    assert TLSA.from_text(record.to_text()) == record
