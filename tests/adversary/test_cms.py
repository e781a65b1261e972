"""Hostile CMS: what is too much, too deep or of two meanings is refused, cheaply, and as Malformed."""

import pytest

from dnsbound.credential import der
from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import public_key_from_spki
from dnsbound.errors import DnsboundError, LimitExceeded, Malformed
from dnsbound.object_limits import CMS_ATTRIBUTES, CMS_CERTIFICATES, CMS_ELEMENTS, CMS_OCTETS
from dnsbound.objects.cms import encoding, signed_data, smime
from dnsbound.objects.cms.reading import MAX_DEPTH, der_of
from dnsbound.objects.cms.signed_data import parse
from unit.cms.crafting import CAR, NAME, NOW, PAYLOAD, attribute, craft

END = b"\x00\x00"


def streamed(message: bytes, content: bytes) -> bytes:
    """The message with an outermost length that is not said, and other octets in place of its content's element."""
    _, start, _ = der.read_element(message, 0, len(message))
    kept = message[start:]
    assert kept.count(encoding.octet_string(PAYLOAD)) == 1
    _, inner, _ = der.read_element(kept, len(encoding.identifier(signed_data.SIGNED_DATA)), len(kept))
    body = kept[inner:]
    _, first, _ = der.read_element(body, 0, len(body))
    fields = body[first:].replace(encoding.explicit(0, encoding.octet_string(PAYLOAD)), b"\xa0\x80" + content + END)
    # encapContentInfo and everything around it have no lengths that would have to be right.
    head = encoding.identifier(signed_data.DATA)
    at = fields.index(head)
    _, begin, _ = der.read_element(fields, at - 2, len(fields))
    assert begin == at
    length = len(head) + len(b"\xa0\x80" + content + END)
    fields = fields[: at - 2] + b"\x30\x80" + fields[at : at + length] + END + fields[at + length :]
    wrapped = b"\xa0\x80\x30\x80" + fields + END + END
    return b"\x30\x80" + encoding.identifier(signed_data.SIGNED_DATA) + wrapped + END


def test_cm_10_streamed_ber_is_the_same_message() -> None:
    pieces = b"\x24\x80" + b"".join(encoding.octet_string(PAYLOAD[i : i + 3]) for i in range(0, len(PAYLOAD), 3)) + END
    signed = parse(streamed(craft(), pieces))
    signed.check(public_key_from_spki(CAR.spki))
    assert signed.payload == PAYLOAD
    good = craft()
    assert der_of(streamed(good, encoding.octet_string(PAYLOAD))) == good


def test_cm_10_other_ber_is_not_read() -> None:
    good = craft()
    assert good[1] == 0x82
    long_form = b"\x30\x83\x00" + good[2:]
    inner = good.replace(encoding.octet_string(PAYLOAD), b"\x24\x80" + encoding.octet_string(PAYLOAD) + END)
    for message in (long_form, inner, good + b"\x00", good[:-1], good + END, b"", b"\x30", b"\x30\x80"):
        with pytest.raises(Malformed):
            parse(message)


def test_cm_10_depth_and_number_of_elements_are_bounded() -> None:
    deep = b"\x30\x80" * (MAX_DEPTH + 1) + END * (MAX_DEPTH + 1)
    with pytest.raises(Malformed, match="deep"):
        parse(deep)
    with pytest.raises(Malformed, match="deep"):
        parse(b"\x30\x80" * 100_000)
    many = b"\x30\x80" + b"\x04\x00" * (CMS_ELEMENTS.default + 1) + END
    with pytest.raises(LimitExceeded):
        parse(many)


def test_cm_11_a_bag_of_certificates_is_bounded_and_nothing_else_is_in_it() -> None:
    others = tuple(Credential.generate(NAME, now=NOW).chain[0] for _ in range(2))
    bag = (*others, *CAR.chain)
    assert parse(craft(certificates=bag * (CMS_CERTIFICATES.default // 3))).presented.chain[0] == CAR.chain[0]
    for certificates in (CAR.chain * (CMS_CERTIFICATES.default + 1), CAR.chain * 10_000, (b"\xa1\x00",)):
        with pytest.raises(Malformed):
            parse(craft(certificates=certificates))


def test_attributes_are_bounded() -> None:
    more = tuple(attribute(f"1.2.3.{number}", encoding.NULL) for number in range(CMS_ATTRIBUTES.default))
    with pytest.raises(Malformed, match="more than"):
        parse(craft(more=more))


def test_huge_identifiers_and_numbers_are_refused() -> None:
    huge = encoding.element(der.OBJECT_IDENTIFIER, b"\x81" * 100_000 + b"\x01")
    with pytest.raises(Malformed):
        parse(craft(digest_algorithm=encoding.sequence(huge)))
    with pytest.raises(Malformed):
        parse(craft(more=(encoding.sequence(huge, encoding.set_of()),)))
    body = encoding.sequence(encoding.element(der.INTEGER, b"\x01" * 100_000))
    message = encoding.sequence(encoding.identifier(signed_data.SIGNED_DATA), encoding.explicit(0, body))
    with pytest.raises(Malformed, match="small number"):
        parse(message)


def test_a_message_that_is_too_long_is_not_looked_into() -> None:
    with pytest.raises(Malformed, match="longer than"):
        parse(b"\x30\x80" + bytes(CMS_OCTETS.default))


def test_every_cut_and_every_changed_octet_is_an_error_of_ours() -> None:
    """Nothing but Malformed, BadSignature and the like; a message that still verifies says what was signed."""
    good = craft()
    for position in range(len(good)):
        with pytest.raises(Malformed):
            parse(good[:position])
    verified = set()
    for position in range(len(good)):
        changed = bytearray(good)
        changed[position] ^= 0x40
        try:
            signed = parse(bytes(changed))
            signed.check(public_key_from_spki(CAR.spki))
            verified.add((signed.payload, signed.name.canonical))
        except DnsboundError:
            continue
    assert verified <= {(PAYLOAD, NAME)}


@pytest.mark.parametrize(
    "header",
    [
        b"a" * 250_000,
        b"From: a" + b" " * 250_000 + b"b",
        b'Content-Type: multipart/signed; a="' + b";" * 250_000,
    ],
)
def test_cm_10_a_mail_header_costs_no_more_than_its_length(header: bytes) -> None:
    """Each of these took minutes: the square of what strangers may send. A hang is what fails here."""
    with pytest.raises(Malformed):
        smime.parse(header + b"\r\n\r\nbody")


def test_a_content_type_that_stands_twice_is_nobodys() -> None:
    with pytest.raises(Malformed, match="several"):
        smime.parse(b"Content-Type: multipart/signed\r\nContent-Type: text/plain\r\n\r\nbody")
