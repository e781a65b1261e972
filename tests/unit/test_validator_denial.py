"""What NSEC and NSEC3 records show, apart from signatures: each case of RFC 4035 section 5.4 and RFC 5155 section 8."""

import base64

import dns.dnssec
import dns.name
import dns.rdata
import dns.rdatatype
import pytest
from dns.rdatatype import RdataType

from dnsbound.dns.answer import Outcome
from dnsbound.dns.canonical import Key, key_of
from dnsbound.dns.denial import Cut, Denial, Denials, NoDS, NoProof, Proof
from dnsbound.dns.messages import Section, add_record
from dnsbound.dns.nsec import NsecDenials
from dnsbound.dns.nsec3 import Nsec3Denials
from dnsbound.dns.policy import Policy, Work
from dnsbound.dns.rrsig import Signature
from dnsbound.dns.signatures import Verified
from dnsbound.errors import LimitExceeded

ZONE = "cars.example."
TLSA = dns.rdatatype.TLSA
DS = dns.rdatatype.DS
SIGNATURE = Signature(int(TLSA), 13, 2, 300, 1, 0, 1, (b"example", b"cars"), b"", b"")


def key(name: str) -> Key:
    return key_of(dns.name.from_text(name))


def verified(lines: list[tuple[str, str, str]], *, wildcard: Key | None = None) -> list[Verified]:
    section: Section = {}
    for owner, rdtype, text in lines:
        name = dns.name.from_text(owner)
        add_record(section, name.labels[:-1], 300, dns.rdata.from_text("IN", rdtype, text))
    return [Verified(rrset, 300, 1.0, 0.0, SIGNATURE, wildcard) for rrset in section.values()]


def nsec(*lines: str, wildcard: Key | None = None) -> Denials:
    """Each line: owner, next name, types."""
    parsed = [(line.split()[0], "NSEC", " ".join(line.split()[1:])) for line in lines]
    return NsecDenials(key(ZONE), verified(parsed, wildcard=wildcard))


def digest(name: str, iterations: int = 0) -> str:
    return dns.dnssec.nsec3_hash(name, b"\xab", iterations, 1).lower()


def beside(text: str, step: int) -> str:
    number = int.from_bytes(base64.b32hexdecode(text.upper())) + step
    return base64.b32hexencode(number.to_bytes(20)).decode().lower()


def at(name: str, types: str = "", *, flags: int = 0, iterations: int = 0, algorithm: int = 1) -> tuple[str, str, str]:
    """An NSEC3 record that matches the name and covers next to nothing."""
    owner = digest(name, iterations)
    return (f"{owner}.{ZONE}", "NSEC3", f"{algorithm} {flags} {iterations} ab {beside(owner, 1)} {types}")


def over(name: str, *, flags: int = 0, iterations: int = 0) -> tuple[str, str, str]:
    """An NSEC3 record that covers exactly the name."""
    hashed = digest(name, iterations)
    return (f"{beside(hashed, -1)}.{ZONE}", "NSEC3", f"1 {flags} {iterations} ab {beside(hashed, 1)} A")


def nsec3(*lines: tuple[str, str, str], work: Work | None = None, wildcard: Key | None = None) -> Denials:
    return Nsec3Denials(key(ZONE), verified(list(lines), wildcard=wildcard), work or Work(Policy()))


def denied(denials: Denials, name: str, rdtype: RdataType = TLSA, prefer: Outcome = Outcome.NXDOMAIN) -> Denial:
    denial = denials.deny(key(name), rdtype, prefer=prefer)
    assert isinstance(denial, Denial), denial
    return denial


def refused(denials: Denials, name: str, rdtype: RdataType = TLSA) -> str:
    denial = denials.deny(key(name), rdtype, prefer=Outcome.NXDOMAIN)
    assert isinstance(denial, NoProof), denial
    return denial.detail


def no_ds(denials: Denials, name: str) -> Cut:
    shown = denials.deny_ds(key(name))
    assert isinstance(shown, NoDS), shown
    return shown.cut


# NSEC


def test_type_absent_at_the_name() -> None:
    assert denied(nsec("b.cars.example. d.cars.example. A"), "b.cars.example.").outcome is Outcome.NODATA


@pytest.mark.parametrize("types", ["A TLSA", "CNAME"])
def test_type_or_alias_present_at_the_name(types: str) -> None:
    assert "says that" in refused(nsec(f"b.cars.example. d.cars.example. {types}"), "b.cars.example.")


def test_name_between_two_names() -> None:
    denials = nsec("b.cars.example. d.cars.example. A", "cars.example. b.cars.example. SOA NS")
    assert denied(denials, "c.cars.example.").outcome is Outcome.NXDOMAIN


def test_wildcard_is_not_denied() -> None:
    denials = nsec("b.cars.example. d.cars.example. A")
    assert "wildcard" in refused(denials, "c.cars.example.")


def test_wildcard_without_the_type() -> None:
    denials = nsec("b.cars.example. d.cars.example. A", "*.cars.example. b.cars.example. A")
    assert denied(denials, "c.cars.example.").outcome is Outcome.NODATA
    assert "says that TLSA" in refused(
        nsec("b.cars.example. d.cars.example. A", "*.cars.example. b.cars.example. TLSA"), "c.cars.example."
    )


def test_last_name_of_the_zone() -> None:
    denials = nsec("x.cars.example. cars.example. A", "cars.example. b.cars.example. SOA NS")
    assert denied(denials, "z.cars.example.").outcome is Outcome.NXDOMAIN
    assert "covers" in refused(nsec("x.cars.example. b.cars.example. A"), "z.cars.example.")


def test_zone_of_a_single_name() -> None:
    assert denied(nsec("cars.example. cars.example. SOA NS"), "z.cars.example.").outcome is Outcome.NXDOMAIN


def test_empty_non_terminal_exists() -> None:
    denials = nsec("cars.example. car54._device.cars.example. SOA NS")
    assert denied(denials, "_device.cars.example.").outcome is Outcome.NODATA
    assert isinstance(denials.deny_expansion(key("_device.cars.example."), key(ZONE)), NoProof)


def test_canonical_order_is_not_string_order() -> None:
    """RFC 4034 section 6.1: labels from the right, case ignored, octets unsigned."""
    denials = nsec("a.cars.example. z.cars.example. A", "cars.example. a.cars.example. SOA NS")
    assert denied(denials, "b.y.cars.example.").outcome is Outcome.NXDOMAIN
    assert denied(denials, "x.A.cars.example.").outcome is Outcome.NXDOMAIN
    assert "covers" in refused(denials, "\\200.cars.example.")


def test_parent_side_says_nothing_about_the_child() -> None:
    denials = nsec("sub.cars.example. z.cars.example. NS RRSIG NSEC")
    assert "parent's side" in refused(denials, "sub.cars.example.")
    assert "covers" in refused(denials, "car54.sub.cars.example.")


def test_dname_owner_says_nothing_about_names_below() -> None:
    assert "covers" in refused(nsec("old.cars.example. z.cars.example. DNAME"), "x.old.cars.example.")


def test_records_of_another_zone_are_left_out() -> None:
    assert "covers" in refused(nsec("b.trains.example. d.trains.example. A"), "c.trains.example.")
    assert "covers" in refused(nsec("b.cars.example. zz.example. A"), "c.cars.example.")


def test_expanded_nsec_proves_nothing() -> None:
    """CVE-2017-15105: an NSEC expanded from a wildcard would deny whatever an attacker likes."""
    lines = ("a.cars.example. z.cars.example. A", "cars.example. a.cars.example. SOA NS")
    assert denied(nsec(*lines), "b.cars.example.").outcome is Outcome.NXDOMAIN
    assert refused(nsec(*lines, wildcard=key(ZONE)), "b.cars.example.")


def test_expansion_needs_the_closest_encloser_of_the_wildcard() -> None:
    denials = nsec("b.cars.example. d.cars.example. A")
    assert isinstance(denials.deny_expansion(key("c.cars.example."), key(ZONE)), Denial)
    deeper = nsec("b.c.cars.example. d.c.cars.example. A")
    assert isinstance(deeper.deny_expansion(key("c.c.cars.example."), key(ZONE)), NoProof)
    assert isinstance(nsec().deny_expansion(key("c.cars.example."), key(ZONE)), NoProof)


def test_compact_denial() -> None:
    """RFC 9824 section 3."""
    missing = nsec("car9.cars.example. \\000.car9.cars.example. RRSIG NSEC NXNAME")
    assert denied(missing, "car9.cars.example.").outcome is Outcome.NXDOMAIN
    assert no_ds(missing, "car9.cars.example.") is Cut.NO_SUCH_NAME
    present = nsec("car9.cars.example. \\000.car9.cars.example. A RRSIG NSEC")
    assert denied(present, "car9.cars.example.").outcome is Outcome.NODATA


def test_ds_is_denied_by_the_parent_alone() -> None:
    assert no_ds(nsec("sub.cars.example. z.cars.example. NS"), "sub.cars.example.") is Cut.UNSIGNED_DELEGATION
    assert no_ds(nsec("sub.cars.example. z.cars.example. A"), "sub.cars.example.") is Cut.NOT_A_DELEGATION
    apex = nsec("cars.example. z.cars.example. NS SOA").deny_ds(key(ZONE))
    assert isinstance(apex, NoProof)
    assert "child" in apex.detail
    present = nsec("sub.cars.example. z.cars.example. NS DS").deny_ds(key("sub.cars.example."))
    assert isinstance(present, NoProof)


def test_ds_of_a_name_that_does_not_exist() -> None:
    denials = nsec("b.cars.example. d.cars.example. A", "cars.example. b.cars.example. SOA NS")
    assert no_ds(denials, "c.cars.example.") is Cut.NO_SUCH_NAME
    assert no_ds(nsec("b.cars.example. x.c.cars.example. A"), "c.cars.example.") is Cut.NOT_A_DELEGATION


# NSEC3


def test_hashed_type_absent_at_the_name() -> None:
    assert denied(nsec3(at("b.cars.example.", "A")), "b.cars.example.").outcome is Outcome.NODATA
    assert denied(nsec3(at("b.cars.example.", "A")), "B.cars.example.").outcome is Outcome.NODATA


@pytest.mark.parametrize("types", ["A TLSA", "CNAME"])
def test_hashed_type_or_alias_present(types: str) -> None:
    assert "says that" in refused(nsec3(at("b.cars.example.", types)), "b.cars.example.")


def test_hashed_name_that_does_not_exist() -> None:
    denials = nsec3(at(ZONE, "SOA NS"), over("c.cars.example."), over("*.cars.example."))
    denial = denied(denials, "c.cars.example.")
    assert (denial.outcome, denial.proof) == (Outcome.NXDOMAIN, Proof.PROVED)
    deeper = denied(denials, "a.b.c.cars.example.")
    assert deeper.outcome is Outcome.NXDOMAIN


@pytest.mark.parametrize("left_out", [0, 1, 2])
def test_each_part_of_the_hashed_proof_is_needed(left_out: int) -> None:
    parts = [at(ZONE, "SOA NS"), over("c.cars.example."), over("*.cars.example.")]
    del parts[left_out]
    assert refused(nsec3(*parts), "c.cars.example.")


def test_hashed_wildcard_without_the_type() -> None:
    denials = nsec3(at(ZONE, "SOA NS"), over("c.cars.example."), at("*.cars.example.", "A"))
    assert denied(denials, "c.cars.example.").outcome is Outcome.NODATA
    assert "says that" in refused(
        nsec3(at(ZONE, "SOA NS"), over("c.cars.example."), at("*.cars.example.", "TLSA")), "c.cars.example."
    )


@pytest.mark.parametrize("types", ["NS", "DNAME"])
def test_closest_encloser_must_not_lead_elsewhere(types: str) -> None:
    denials = nsec3(at("sub.cars.example.", types), over("x.sub.cars.example."), over("*.sub.cars.example."))
    assert "delegation or DNAME" in refused(denials, "x.sub.cars.example.")


def test_opt_out_is_no_proof_of_absence() -> None:
    denials = nsec3(at(ZONE, "SOA NS"), over("c.cars.example.", flags=1), over("*.cars.example."))
    assert denied(denials, "c.cars.example.").proof is Proof.OPT_OUT
    assert no_ds(denials, "c.cars.example.") is Cut.UNSIGNED_DELEGATION


def test_hashed_ds() -> None:
    assert no_ds(nsec3(at("sub.cars.example.", "NS")), "sub.cars.example.") is Cut.UNSIGNED_DELEGATION
    assert no_ds(nsec3(at("sub.cars.example.", "A")), "sub.cars.example.") is Cut.NOT_A_DELEGATION
    for types in ("NS SOA", "NS DS"):
        assert isinstance(nsec3(at("sub.cars.example.", types)).deny_ds(key("sub.cars.example.")), NoProof)


def test_hashed_parent_side() -> None:
    assert "parent's side" in refused(nsec3(at("sub.cars.example.", "NS")), "sub.cars.example.")


def test_hashed_expansion() -> None:
    assert isinstance(nsec3(over("c.cars.example.")).deny_expansion(key("c.cars.example."), key(ZONE)), Denial)
    assert isinstance(nsec3(over("c.cars.example.")).deny_expansion(key("x.c.cars.example."), key(ZONE)), Denial)
    assert isinstance(nsec3(over("b.cars.example.")).deny_expansion(key("c.cars.example."), key(ZONE)), NoProof)


def test_records_that_are_not_understood_are_left_out() -> None:
    for record in (at("b.cars.example.", "A", algorithm=2), at("b.cars.example.", "A", flags=2)):
        assert "no NSEC3" in refused(nsec3(record), "b.cars.example.")
    owner, rdtype, text = at("b.cars.example.", "A")
    for wrong in (f"x.{owner}", "nothash.cars.example.", owner.replace("cars", "trains")):
        assert refused(nsec3((wrong, rdtype, text)), "b.cars.example.")
    assert refused(nsec3(at("b.cars.example.", "A"), wildcard=key(ZONE)), "b.cars.example.")


def test_one_parameter_set_is_used() -> None:
    denials = nsec3(at(ZONE, "SOA NS"), at("b.cars.example.", "A", iterations=3))
    assert refused(denials, "b.cars.example.")


def test_the_last_record_of_the_circle() -> None:
    low, high = beside(digest("c.cars.example."), 1), beside(digest("c.cars.example."), -1)
    circle = (f"{high}.{ZONE}", "NSEC3", f"1 0 0 ab {low} A")
    assert isinstance(nsec3(circle).deny_expansion(key("c.cars.example."), key(ZONE)), Denial)
    wrapped = (f"{low}.{ZONE}", "NSEC3", f"1 0 0 ab {high} A")
    assert isinstance(nsec3(wrapped).deny_expansion(key("c.cars.example."), key(ZONE)), NoProof)
    assert isinstance(nsec3(wrapped).deny_expansion(key("d.cars.example."), key(ZONE)), Denial)


def test_too_many_iterations_count_as_insecure() -> None:
    """RFC 9276 section 3.2; nothing is hashed at all."""
    work = Work(Policy(nsec3_iterations=100))
    denials = nsec3(at("b.cars.example.", "A", iterations=101), work=work)
    assert denied(denials, "b.cars.example.").proof is Proof.TOO_COSTLY
    assert no_ds(denials, "b.cars.example.") is Cut.UNSIGNED_DELEGATION
    expansion = denials.deny_expansion(key("b.cars.example."), key(ZONE))
    assert isinstance(expansion, Denial)
    assert expansion.proof is Proof.TOO_COSTLY
    assert work.hashes.left == Work(Policy()).hashes.left


def test_iterations_at_the_limit_are_hashed() -> None:
    work = Work(Policy(nsec3_iterations=100))
    before = work.hashes.left
    assert denied(nsec3(at("b.cars.example.", "A", iterations=100), work=work), "b.cars.example.").proof is Proof.PROVED
    assert before - work.hashes.left == 101


def test_names_of_many_labels_end_with_the_budget() -> None:
    """CVE-2023-50868: a closest-encloser search hashes every ancestor of the name."""
    work = Work(Policy(nsec3_iterations=100, nsec3_hashes=1024))
    denials = nsec3(at(ZONE, "SOA NS", iterations=100), work=work)
    with pytest.raises(LimitExceeded) as caught:
        denials.deny(key("a." * 100 + ZONE), TLSA, prefer=Outcome.NXDOMAIN)
    assert caught.value.limit == "nsec3-hashes"


def test_each_name_is_hashed_once() -> None:
    work = Work(Policy())
    denials = nsec3(at(ZONE, "SOA NS"), over("c.cars.example."), over("*.cars.example."), work=work)
    before = work.hashes.left
    for _ in range(5):
        denied(denials, "c.cars.example.")
    assert before - work.hashes.left == 3
