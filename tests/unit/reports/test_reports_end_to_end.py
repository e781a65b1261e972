"""From a report to its receipt: what is accepted, what is refused and what is kept, by the real engine."""

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.edge.report_receiver import ReportReceiver, Standing
from dnsbound.errors import LimitExceeded, Malformed, Reason, Undecided
from dnsbound.objects.jose import jws
from dnsbound.objects.jose.jwt import read_claims
from dnsbound.objects.receipt import Receipt, Verdict
from dnsbound.objects.report_order import Order
from dnsbound.provision.reports.outbox import Outbox, SentState
from dnsbound.provision.reports.quarantine import QuarantineState
from unit.reports.estate import CAR, NOW, OFFICE, Estate, run


def receipt_of(octets: bytes | None) -> Receipt:
    assert octets is not None
    return Receipt.from_jwt(read_claims(jws.parse(octets, typ="dnsbound-receipt+jwt")))


def test_a_report_is_accepted_and_its_sender_has_a_receipt(estate: Estate) -> None:
    made = estate.made({"route": [[52.5, 13.4]], "km": 12})
    delivery = estate.sent(estate.by_hand)
    assert (delivery.accepted, delivery.waiting, delivery.trouble) == (1, 0, "")
    kept = estate.outbox.find(made.digest)
    assert kept is not None
    assert kept.state is SentState.ACCEPTED
    receipt = receipt_of(kept.receipt)
    assert receipt.verdict is Verdict.ACCEPTED
    assert (receipt.receiver.text, receipt.signer.text) == (OFFICE, CAR)
    assert (receipt.sequence, receipt.digest, receipt.order) == (1, made.digest, Order.FIRST)
    assert receipt.received_at == NOW
    assert estate.sent(estate.by_hand).accepted == 0


def test_reports_follow_each_other(estate: Estate) -> None:
    tokens = [estate.made().token for _ in range(4)]
    assert estate.received(tokens[0]).order is Order.FIRST
    assert estate.received(tokens[1]).order is Order.NEXT
    assert estate.received(tokens[3]).order is Order.GAP
    assert estate.received(tokens[2]).order is Order.LATE


def test_the_same_octets_get_the_same_receipt(estate: Estate) -> None:
    token = estate.made().token
    first, second = estate.received(token), estate.received(token)
    assert not first.again
    assert second.again
    assert second.receipt == first.receipt
    assert second.standing is Standing.ACCEPTED


def test_rq_05_another_report_with_the_same_number_is_refused(estate: Estate) -> None:
    """Two cars with one key, or one that was set back."""
    estate.received(estate.made().token)
    with Outbox.open(estate.place / "twin.db", create=True) as twin:
        token = estate.sender(outbox=twin).make({"route": []}).token
    answer = estate.received(token)
    assert (answer.standing, answer.reason, answer.kept) == (Standing.REFUSED, Reason.REPLAYED, True)
    receipt = receipt_of(answer.receipt)
    assert (receipt.verdict, receipt.reason) == (Verdict.REFUSED, Reason.REPLAYED)


def test_rq_05_an_identifier_counts_once(estate: Estate) -> None:
    sender = estate.sender(entropy=lambda octets: b"i" * octets)
    first, second = sender.make({}).token, sender.make({}).token
    assert estate.received(first).standing is Standing.ACCEPTED
    assert estate.received(second).reason is Reason.REPLAYED


def test_two_histories_of_one_name(estate: Estate) -> None:
    estate.received(estate.made().token)
    with Outbox.open(estate.place / "twin.db", create=True) as twin:
        sender = estate.sender(outbox=twin)
        sender.make({})
        answer = estate.received(sender.make({}).token)
    assert (answer.standing, answer.reason) == (Standing.REFUSED, Reason.FORKED)


def test_a_signer_that_lost_its_count_goes_on_further_up(estate: Estate) -> None:
    estate.received(estate.made().token)
    with Outbox.open(estate.place / "new.db", create=True) as new:
        sender = estate.sender(outbox=new)
        assert estate.received(sender.make({}, from_sequence=1000).token).order is Order.RESTART
        assert estate.received(sender.make({}).token).order is Order.NEXT


@pytest.mark.parametrize(
    ("later", "reason"), [(86_400 + 121, Reason.STALE), (-121, Reason.STALE), (86_400 + 119, None), (-119, None)]
)
def test_rq_04_outside_its_time_a_report_is_stale(estate: Estate, later: float, reason: Reason | None) -> None:
    token = estate.made().token
    estate.clock.now += later
    answer = estate.received(token)
    assert answer.reason is reason
    if reason is not None:
        assert answer.kept
        assert receipt_of(answer.receipt).reason is reason


def test_rq_04_a_report_that_would_hold_for_years_is_refused(estate: Estate) -> None:
    token = estate.sender(lifetime=31_000_000).make({}).token
    assert estate.received(token).reason is Reason.STALE
    assert estate.received(token, longest=31_000_000).standing is Standing.ACCEPTED


def test_rq_03_a_report_for_somebody_else(estate: Estate) -> None:
    answer = estate.received(estate.sender(audience="other.gov.example").make({}).token)
    assert (answer.standing, answer.reason, answer.receipt) == (Standing.REFUSED, Reason.WRONG_AUDIENCE, None)


def test_rq_02_a_stranger_is_refused_before_the_dns_is_asked(estate: Estate) -> None:
    token = estate.made().token
    answer = estate.received(token)
    assert answer.standing is Standing.ACCEPTED
    estate.lookups.asked.clear()
    refused = run(estate.receiver("truck1._device.trucks.example").receive(estate.made().token))
    assert (refused.standing, refused.reason, refused.kept) == (Standing.REFUSED, Reason.NOT_PERMITTED, False)
    assert estate.lookups.asked == []


def test_mallory_signs_as_the_car(estate: Estate) -> None:
    mallory = Credential.generate(CAR, now=NOW)
    answer = estate.received(estate.sender(mallory).make({}).token)
    assert (answer.standing, answer.reason, answer.receipt) == (Standing.REFUSED, Reason.TLSA_MISMATCH, None)
    assert answer.kept


def test_a_changed_report_is_refused_before_the_dns_is_asked(estate: Estate) -> None:
    header, payload, signature = estate.made().token.split(b".")
    other = estate.made().token.split(b".")[1]
    assert payload != other
    answer = estate.received(b".".join([header, other, signature]))
    assert answer.reason is Reason.BAD_SIGNATURE
    assert estate.lookups.asked == []


def test_rq_13_a_revoked_name_is_refused_and_what_it_sent_is_kept(estate: Estate) -> None:
    before, after = estate.made().token, estate.made().token
    assert estate.received(before).standing is Standing.ACCEPTED
    estate.car.revoke()
    answer = estate.received(after)
    assert (answer.standing, answer.reason, answer.kept, answer.receipt) == (
        Standing.REFUSED,
        Reason.NO_TLSA,
        True,
        None,
    )
    [kept] = estate.intake.quarantine.reports()
    assert (kept.token, kept.state, kept.reason) == (after, QuarantineState.REFUSED, Reason.NO_TLSA)
    # Its receipt it gets again, though: it was delivered.
    assert estate.received(before).again


def test_rq_10_what_cannot_be_decided_is_kept_and_judged_again(estate: Estate) -> None:
    token = estate.made().token
    estate.lookups.down = True
    answer = estate.received(token)
    assert (answer.standing, answer.reason, answer.kept, answer.receipt) == (
        Standing.UNDECIDED,
        Reason.DNS_FAILED,
        True,
        None,
    )
    estate.clock.now += 60
    assert [again.standing for again in run(estate.receiver().judge_again())] == [Standing.UNDECIDED]
    estate.lookups.down = False
    estate.clock.now += 100_000  # it had not ended when it came
    [again] = run(estate.receiver().judge_again())
    assert again.standing is Standing.ACCEPTED
    assert receipt_of(again.receipt).received_at == NOW
    assert receipt_of(again.receipt).judged_at == NOW + 100_060
    assert list(estate.intake.quarantine.reports()) == []
    assert run(estate.receiver().judge_again()) == []


def test_a_report_that_waited_may_be_sent_again_after_its_end(estate: Estate) -> None:
    """It came in time, and nobody could say whose it was."""
    waited, refused = estate.made().token, estate.made().token
    estate.lookups.down = True
    assert estate.received(waited).standing is Standing.UNDECIDED
    estate.lookups.down = False
    estate.car.revoke()
    assert estate.received(refused).standing is Standing.REFUSED
    estate.car.publish()
    estate.clock.now += 100_000
    answer = estate.received(waited)
    assert answer.standing is Standing.ACCEPTED
    assert receipt_of(answer.receipt).received_at == NOW
    assert estate.received(refused).reason is Reason.STALE


def test_a_name_revoked_while_its_report_waited(estate: Estate) -> None:
    estate.lookups.down = True
    token = estate.made().token
    estate.received(token)
    estate.lookups.down = False
    estate.car.revoke()
    estate.clock.now += 1
    [again] = run(estate.receiver().judge_again())
    assert (again.standing, again.reason) == (Standing.REFUSED, Reason.NO_TLSA)
    [kept] = estate.intake.quarantine.reports()
    assert (kept.state, kept.tries) == (QuarantineState.REFUSED, 2)


def test_a_sender_whose_receiver_is_away_tries_again(estate: Estate) -> None:
    estate.made()
    estate.made()

    async def nobody(_token: bytes) -> bytes | None:
        raise ConnectionRefusedError("refused")

    delivery = estate.sent(nobody)
    assert (delivery.accepted, delivery.waiting) == (0, 2)
    assert "refused" in delivery.trouble
    assert estate.sent(estate.by_hand).accepted == 2


def test_rq_09_a_receipt_that_somebody_else_signed_does_not_count(estate: Estate) -> None:
    forged = Credential.generate(OFFICE, now=NOW)
    estate.made()

    async def liar(token: bytes) -> bytes | None:
        receiver = ReportReceiver(forged, estate.intake, estate.verifier(), clock=estate.clock)
        return (await receiver.receive(token)).receipt

    assert estate.sent(liar).waiting == 1
    [kept] = estate.outbox.reports()
    assert (kept.state, kept.tries) == (SentState.WAITING, 1)


def test_rq_09_a_receipt_for_another_report_does_not_count(estate: Estate) -> None:
    first = estate.made().token
    receipt = estate.received(first).receipt
    estate.sent(estate.by_hand)
    estate.made()

    async def always_the_same(_token: bytes) -> bytes | None:
        return receipt

    assert estate.sent(always_the_same).waiting == 1


def test_a_refused_report_is_not_sent_again(estate: Estate) -> None:
    estate.made()
    estate.clock.now += 86_400 + 60  # the sender has given it up by then, but not this one
    [kept] = estate.outbox.reports()
    token = kept.token
    with Outbox.open(estate.place / "twin.db", create=True) as twin:
        estate.clock.now = NOW
        other = estate.sender(outbox=twin).make({"other": True})
        estate.received(token)
        delivery = run(estate.sender(outbox=twin).send_waiting(estate.by_hand))
        assert delivery.refused == 1
        [settled] = twin.reports()
        assert (settled.state, settled.digest) == (SentState.REFUSED, other.digest)


def test_a_report_that_ended_is_given_up(estate: Estate) -> None:
    estate.made()
    estate.clock.now += 86_400
    assert estate.sent(estate.by_hand).expired == 1
    [kept] = estate.outbox.reports()
    assert kept.state is SentState.EXPIRED


@pytest.mark.parametrize("token", [b"", b"a.b.c", b"\xff" * 100, b"{}"])
def test_what_is_no_report_is_not_kept(estate: Estate, token: bytes) -> None:
    with pytest.raises(Malformed):
        estate.received(token)
    assert list(estate.intake.quarantine.reports()) == []


def test_rq_01_a_jwt_of_another_type_is_no_report(estate: Estate) -> None:
    token = jws.sign(b"{}", estate.car.credential, typ="JWT")
    with pytest.raises(Malformed):
        estate.received(token.encode())


def test_a_report_that_is_too_long(estate: Estate) -> None:
    with pytest.raises(LimitExceeded):
        estate.received(b"a" * 300_000)
    with pytest.raises(LimitExceeded):
        estate.made({"text": "a" * 300_000})
    assert list(estate.outbox.reports()) == []


def test_a_clock_that_was_set_back(estate: Estate) -> None:
    estate.received(estate.made().token)
    token = estate.made().token
    estate.clock.now -= 200
    answer = estate.received(token)
    assert (answer.standing, answer.kept) == (Standing.REFUSED, True)  # made in what is to come, to this clock
    with pytest.raises(Undecided) as caught:
        estate.made()
    assert caught.value.reason is Reason.CLOCK
    early = estate.sender(danger_any_clock=True).make({}).token
    assert estate.received(early).reason is Reason.CLOCK
    assert estate.received(early, danger_any_clock=True).standing is Standing.ACCEPTED
