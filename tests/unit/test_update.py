"""Updates as octets, read back by dnspython; the table of response codes."""

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rdataclass
import dns.rdatatype
import dns.update
import pytest
from dns.rcode import Rcode

from dnsbound.dns.update import ANSWERS, MAX_OCTETS, OF_TSIG, Meaning, Update, UpdateResponse
from dnsbound.errors import Malformed, Misuse

ZONE = dns.name.from_text("cars.example")
CAR = dns.name.from_text("Car54._device.cars.example")
DATA = bytes((3, 1, 1)) + b"\xab" * 32
TLSA, CNAME = int(dns.rdatatype.TLSA), int(dns.rdatatype.CNAME)


def test_an_update_is_what_dnspython_reads() -> None:
    update = Update(ZONE)
    update.add(CAR, TLSA, 300, DATA)
    update.remove(CAR, TLSA, DATA[:-1] + b"\x00")
    update.require_absent(CAR, CNAME)
    update.require_only(CAR, TLSA, DATA)
    wire = update.to_wire(4711)
    assert len(wire) == update.octets
    read = dns.message.from_wire(wire)
    assert isinstance(read, dns.update.UpdateMessage)
    assert (read.id, read.opcode()) == (4711, dns.opcode.UPDATE)
    assert read.zone[0].name == ZONE
    kinds = [(rrset.name, rrset.rdtype, rrset.deleting) for rrset in read.prerequisite]
    assert kinds == [(CAR, CNAME, dns.rdataclass.NONE), (CAR, TLSA, None)]
    removal, addition = read.update
    assert (removal.deleting, removal[0].to_text()) == (dns.rdataclass.NONE, "3 1 1 " + "ab" * 31 + "00")
    assert (addition.deleting, addition.ttl, addition[0].to_text()) == (None, 300, "3 1 1 " + "ab" * 32)


def test_nothing_outside_the_zone_and_nothing_too_long() -> None:
    update = Update(ZONE)
    for name in ("cars.example.net", "example", "xcars.example"):
        with pytest.raises(Misuse):
            update.add(dns.name.from_text(name), TLSA, 300, DATA)
    update.add(ZONE, TLSA, 300, DATA)
    while update.octets <= MAX_OCTETS - OF_TSIG:
        update.to_wire(1)
        update.add(CAR, TLSA, 300, bytes(1000))
    with pytest.raises(Misuse):
        update.to_wire(1)


def test_every_response_code_has_one_meaning() -> None:
    assert set(ANSWERS) == set(Rcode)
    assert [code for code, answer in ANSWERS.items() if answer.meaning is Meaning.ACCEPTED] == [Rcode.NOERROR]
    assert all(answer.words for answer in ANSWERS.values())


def test_responses() -> None:
    update = Update(ZONE)
    update.remove(CAR, TLSA, DATA)
    answer = dns.message.make_response(dns.message.from_wire(update.to_wire(7)))
    answer.set_rcode(Rcode.NOTZONE)
    assert UpdateResponse.from_wire(answer.to_wire()) == UpdateResponse(ident=7, rcode=Rcode.NOTZONE)
    answer.flags &= ~dns.flags.QR
    for wire in (b"", answer.to_wire(), dns.message.make_query("x", "A").to_wire()):
        with pytest.raises(Malformed):
            UpdateResponse.from_wire(wire)


@pytest.mark.parametrize("code", range(16))
def test_unassigned_codes_are_read_too(code: int) -> None:
    wire = (7).to_bytes(2, "big") + (0xA800 | code).to_bytes(2, "big") + bytes(8)
    assert UpdateResponse.from_wire(wire).rcode == code
