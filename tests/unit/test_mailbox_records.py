"""Mailboxes as identities: how they are written, and where their records stand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbound.errors import Malformed
from dnsbound.names import MAX_MAILBOX_DOMAIN, ClientName, MailboxName, mailboxes_among, name_or_mailbox
from dnsbound.records import openpgpkey, smimea
from dnsbound.records.openpgpkey import OPENPGPKEY


def test_a_mailbox_is_a_local_part_and_a_domain() -> None:
    mailbox = MailboxName.parse("Hugh.D'Arcy+lists@Example.COM")
    assert (mailbox.local, mailbox.domain) == ("Hugh.D'Arcy+lists", ClientName.parse("example.com"))
    assert (mailbox.text, mailbox.canonical) == ("Hugh.D'Arcy+lists@Example.COM", "Hugh.D'Arcy+lists@example.com")
    assert mailbox.labels == ("Hugh.D'Arcy+lists@", "example", "com")


def test_domains_compare_without_case_and_local_parts_with_it() -> None:
    assert MailboxName.parse("hugh@example.com") == MailboxName.parse("hugh@EXAMPLE.com")
    assert MailboxName.parse("hugh@example.com") != MailboxName.parse("Hugh@example.com")
    assert hash(MailboxName.parse("hugh@example.com")) == hash(MailboxName.parse("hugh@EXAMPLE.com"))


def test_a_mailbox_is_no_client_name() -> None:
    mailbox = MailboxName.parse("hugh@example.com")
    assert mailbox != ClientName("hugh@example.com", "hugh@example.com")
    with pytest.raises(Malformed):
        ClientName.parse(mailbox.text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com",
        "@example.com",
        "hugh@",
        "hugh@com",
        "hugh@example.com.",
        "a b@example.com",
        '"hugh"@example.com',
        ".hugh@example.com",
        "hugh.@example.com",
        "hu..gh@example.com",
        "hügh@example.com",
        "hugh@@example.com",
        "hugh@ev\u0131l.example",
        "hugh\x00@example.com",
        "hugh@example.com\n",
        "*@exam ple.com",
        f"{'a' * 65}@example.com",
        f"a@{'b.' * (MAX_MAILBOX_DOMAIN // 2)}cc",
    ],
)
def test_what_is_no_mailbox(text: str) -> None:
    with pytest.raises(Malformed):
        MailboxName.parse(text)


@given(st.text(max_size=80))
def test_any_text_is_a_mailbox_or_malformed(text: str) -> None:
    try:
        mailbox = MailboxName.parse(text)
    except Malformed:
        return
    assert MailboxName.parse(mailbox.text) == mailbox
    assert len(smimea.owner_of(mailbox)) <= 253


def test_texts_of_certificates_that_are_no_mailbox_are_left_out() -> None:
    assert mailboxes_among(["nobody", "hugh@example.com", "a b@example.com"]) == (
        MailboxName.parse("hugh@example.com"),
    )


def test_people_write_names_and_mailboxes() -> None:
    assert name_or_mailbox("hugh@example.com") == MailboxName.parse("hugh@example.com")
    assert name_or_mailbox("car54._device.cars.example") == ClientName.parse("car54._device.cars.example")


def test_cm_14_owner_of_smimea_records() -> None:
    """RFC 8162 section 3: its example is that of RFC 7929 with another label."""
    owner = smimea.owner_of(MailboxName.parse("hugh@example.com"))
    assert owner == "c93f1e400f26708f98cb19d936620da35eec8f72e57f9eec01c1afd6._smimecert.example.com"
    assert smimea.owner_of(MailboxName.parse("chris@Example.com")) == (
        "5d7f15f2fce8ddb2dbef5c38be896c238ba7e0a432e396759030a853._smimecert.example.com"
    )
    assert smimea.owner_of(MailboxName.parse("Hugh@example.com")) != owner
    longest = MailboxName.parse(f"a@{'b' * 60}.{'c' * 60}.{'d' * (MAX_MAILBOX_DOMAIN - 122)}")
    assert len(smimea.owner_of(longest)) <= 253
    assert len(openpgpkey.owner_of(longest)) <= 253
    ClientName.parse(openpgpkey.owner_of(longest))


def test_cm_15_owner_and_data_of_openpgpkey_records() -> None:
    """RFC 7929 section 3 has this owner."""
    owner = openpgpkey.owner_of(MailboxName.parse("hugh@example.com"))
    assert owner == "c93f1e400f26708f98cb19d936620da35eec8f72e57f9eec01c1afd6._openpgpkey.example.com"
    record = OPENPGPKEY.from_text("mQ EN BA==")
    assert record.key == bytes.fromhex("99010d04")
    assert OPENPGPKEY.from_wire(record.to_wire()) == record == OPENPGPKEY.from_text(record.to_text())
    for text in ("", "mQENBA", "?"):
        with pytest.raises(Malformed):
            OPENPGPKEY.from_text(text)
