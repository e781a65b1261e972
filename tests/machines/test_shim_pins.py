"""Pins: a server that promised its chain is held to it (RFC 9102 section 7)."""

from dnsbound import Reason
from dnsbound.edge.pins import MemoryPins
from dnsbound.limits import PIN_SECONDS
from dnsbound.records.tlsa import TLSA
from dnsbound.testing import World
from dnsbound.tls.errors import TLSMisuse, TLSUndecided
from machines.chain_pairs import HOST, OWNER, PORT, ZONE, asking, chain_of, fails, meet, record, serving
from machines.native_pairs import Identity, make_identity


def test_dc_05_a_promise_counts_from_who_keeps_to_it(signed: World, stranger: Identity) -> None:
    """Pinned: after the chain has authenticated the server, for the time it offers."""
    pins, now = MemoryPins(), signed.now()
    near = asking(signed, pins=pins)
    octets = chain_of(signed, record(stranger))
    meet(near, serving(octets, stranger, lifetime=2))
    assert pins.pinned(HOST, PORT, now=now + 7000)
    assert not pins.pinned(HOST, PORT, now=signed.now() + 7201)
    assert not pins.pinned(HOST, 443, now=now)
    meet(near, serving(octets, stranger, lifetime=0))
    assert not pins.pinned(HOST, PORT, now=now), "zero takes the promise back"


def test_dc_05_nobody_is_pinned_whom_the_chain_did_not_authenticate(signed: World, stranger: Identity) -> None:
    pins, now = MemoryPins(), signed.now()
    near = asking(signed, pins=pins)
    fails(near, serving(chain_of(signed, record(make_identity("x.example"))), lifetime=9))
    meet(near, serving(chain_of(signed), lifetime=9))
    meet(near, serving(chain_of(signed, TLSA(3, 1, 99, bytes(32))), lifetime=9))
    assert not pins.pinned(HOST, PORT, now=now)


def test_dc_05_a_promise_is_capped(signed: World, stranger: Identity) -> None:
    octets, now = chain_of(signed, record(stranger)), signed.now()
    for longest, seconds in ((None, PIN_SECONDS.default), (60, 60), (0, 0)):
        pins = MemoryPins()
        meet(asking(signed, pins=pins, longest_pin=longest), serving(octets, stranger, lifetime=65_535))
        assert pins.pinned(HOST, PORT, now=now + seconds - 5) == (seconds > 0)
        assert not pins.pinned(HOST, PORT, now=now + seconds + 5)


def pinned(world: World) -> MemoryPins:
    pins = MemoryPins()
    pins.pin(HOST, PORT, until=world.now() + 3600, now=world.now())
    return pins


def test_dc_06_a_pinned_server_without_a_chain_is_not_talked_to(signed: World) -> None:
    error = fails(asking(signed, pins=pinned(signed)), serving(None))
    assert (type(error), error.reason) == (TLSUndecided, Reason.INDETERMINATE)
    late = asking(signed, pins=pinned(signed), clock=lambda: signed.now() + 3700)
    meet(late, serving(None))
    meet(asking(signed, pins=pinned(signed), host_port=443), serving(None))


def test_dc_06_records_that_were_looked_up_stand_for_the_chain(signed: World, stranger: Identity) -> None:
    organisation = signed.organisation(ZONE)
    organisation.address(HOST, "127.0.0.1")
    organisation.replace(OWNER, record(stranger))
    near = asking(signed, required=True, resolver=signed.resolver(), pins=pinned(signed))
    near.prepare_blocking(HOST, PORT)
    meet(near, serving(None, stranger))


def test_dc_05_proof_that_there_is_nothing_ends_a_promise(signed: World) -> None:
    pins = pinned(signed)
    near = asking(signed, pins=pins)
    meet(near, serving(chain_of(signed)))
    assert not pins.pinned(HOST, PORT, now=signed.now())
    meet(near, serving(None))


def test_dc_05_who_is_not_the_server_ends_no_promise(signed: World, stranger: Identity) -> None:
    """An old denial in the hands of somebody whom no authority knows."""
    pins = pinned(signed)
    fails(asking(signed, pins=pins), serving(chain_of(signed), stranger))
    assert pins.pinned(HOST, PORT, now=signed.now())


def test_pins_that_cannot_be_read_let_nobody_in(signed: World, stranger: Identity) -> None:
    class Broken(MemoryPins):
        def pinned(self, host: str, port: int, *, now: float) -> bool:
            raise TLSMisuse("the file is gone")

    octets = chain_of(signed, record(stranger))
    assert isinstance(fails(asking(signed, pins=Broken()), serving(octets, stranger)), TLSMisuse)
