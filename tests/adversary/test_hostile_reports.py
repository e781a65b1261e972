"""Reports by people who own nothing that is listed: they fill nobody's share, and rewrite nothing on the way."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from dnsbound.edge.report_receiver import Standing
from dnsbound.errors import Malformed, Reason
from dnsbound.objects.jose import base64url
from dnsbound.objects.report_order import Order
from dnsbound.provision.reports.quarantine import Quarantine, QuarantineState, Unjudged
from unit.reports.estate import NOW, Estate


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[Estate]:
    made = Estate(tmp_path)
    yield made
    made.close()


def claimed(issuer: str) -> Unjudged:
    return Unjudged(issuer=issuer, token=b"token", digest=sha256(issuer.encode()).digest(), received_at=NOW, source="")


def test_rq_10_strangers_under_many_names_fill_half_of_it(estate: Estate) -> None:
    """A pattern lets in names that nobody has yet: each could have a share of its own."""
    assert estate.received(estate.made().token).standing is Standing.ACCEPTED
    estate.lookups.down = True
    quarantine = estate.intake.quarantine = Quarantine(estate.intake.database, reports=4)
    strangers = [claimed(f"nobody{number}._device.cars.example") for number in range(4)]
    state, reason = QuarantineState.REFUSED, Reason.NO_TLSA
    kept = [quarantine.keep(stranger, state, reason, "", now=NOW) for stranger in strangers]
    assert kept == [True, True, False, False]
    assert estate.received(estate.made().token).kept
    assert estate.received(estate.made().token).kept
    assert not estate.received(estate.made().token).kept
    assert quarantine.prune(before=NOW + 1) == 4
    assert quarantine.keep(strangers[3], state, reason, "", now=NOW)


def test_rq_10_nothing_is_kept_that_no_key_has_signed(estate: Estate) -> None:
    """Everybody has the car's public key, and can put it on whatever he likes."""
    assert estate.received(estate.made().token).standing is Standing.ACCEPTED
    estate.intake.quarantine = Quarantine(estate.intake.database, per_signer=3)
    head = estate.made().token.rpartition(b".")[0]
    for number in range(1, 6):
        low = (number.to_bytes(32, "big") * 2).hex()
        answer = estate.received(head + b"." + base64url.encode(bytes.fromhex(low)))
        assert (answer.reason, answer.kept) == (Reason.BAD_SIGNATURE, False)
    assert list(estate.intake.quarantine.reports()) == []
    estate.lookups.down = True
    assert estate.received(estate.made().token).kept


def test_rq_05_nobody_on_the_way_writes_a_report_otherwise(estate: Estate) -> None:
    """Of r and s everybody can make r and n - s: a report with that, taken in place of the one that was sent, would
    leave its signer without a receipt, and with a history that contradicts itself."""
    first, second = estate.made(), estate.made()
    head, _, text = first.token.rpartition(b".")
    signature = base64url.decode(text, "signature")
    other = ec.SECP256R1().group_order - int.from_bytes(signature[32:], "big")
    with pytest.raises(Malformed, match="s and n - s"):
        estate.received(head + b"." + base64url.encode(signature[:32] + other.to_bytes(32, "big")))
    assert estate.received(first.token).order is Order.FIRST
    assert estate.received(second.token).order is Order.NEXT
