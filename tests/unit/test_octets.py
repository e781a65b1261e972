"""What `dnsbound bytes` counts: packets by hand, combinations by their rules, handshakes by what must be in them."""

from dataclasses import replace
from itertools import pairwise

import pytest

from dnsbound._native import TlsError
from dnsbound.errors import Misuse
from dnsbound.testing.octet_combinations import (
    POST_QUANTUM_KEYS,
    Combination,
    Form,
    Group,
    Key,
    Version,
    every,
    standard,
)
from dnsbound.testing.octet_measure import CLIENT, CannotMeasureError, Measuring, Octets
from dnsbound.testing.octet_packets import Packets, datagrams, segments

NOW = 1_790_000_000.0


@pytest.fixture(scope="module")
def measuring() -> Measuring:
    return Measuring(now=NOW)


# --- packets


def test_a_datagram_that_fits_is_one_packet() -> None:
    assert datagrams([1232], 1280) == Packets(1, 1280)
    assert datagrams([0, 1], 1280) == Packets(2, 48 + 49)


def test_a_datagram_that_does_not_fit_is_fragmented_in_units_of_eight() -> None:
    """RFC 8200 section 4.5: 1280 leaves 1232 octets beside the two headers; the UDP header is in the first fragment."""
    assert datagrams([1233], 1280) == Packets(2, 1241 + 2 * 48)
    # 1241 octets at 127: room for 127 - 48 = 79, of which 72 are a multiple of eight; 18 fragments.
    assert datagrams([1233], 127) == Packets(18, 1241 + 18 * 48)


def test_segments_of_tcp() -> None:
    assert segments([1220], 1280) == Packets(1, 1280)
    assert segments([1221], 1280) == Packets(2, 1221 + 120)
    assert segments([500, 500], 1280) == Packets(2, 1000 + 120), "flights wait for each other"


@pytest.mark.parametrize("mtu", [-1, 0, 63, 65_536])
def test_links_that_are_none(mtu: int) -> None:
    with pytest.raises(Misuse):
        Measuring(mtu=mtu)
    with pytest.raises(Misuse):
        datagrams([1], mtu)


# --- combinations


def test_the_standard_ones_are_a_part_of_the_product_and_have_their_baselines() -> None:
    product = set(every())
    assert len(product) == len(every()) == 4 * 5 * 2 * 3 * 3 * 2 * 2 * 2
    assert set(standard()) <= product
    assert len(set(standard())) == len(standard())
    assert {combination.baseline for combination in standard()} <= product


def test_every_choice_is_among_the_standard_ones() -> None:
    for field, values in {
        "version": Version,
        "key": Key,
        "group": Group,
        "client": Form,
        "named": (False, True),
        "carried": (False, True),
        "server_chain": (False, True),
    }.items():
        assert {getattr(combination, field) for combination in standard()} == set(values), field


@pytest.mark.parametrize(
    "combination",
    [
        Combination(version=Version.DTLS13),
        Combination(version=Version.TLS12, group=Group.X25519MLKEM768),
        Combination(version=Version.DTLS12, group=Group.X25519MLKEM768),
        *(Combination(version=Version.TLS12, key=key) for key in POST_QUANTUM_KEYS),
        Combination(version=Version.TLS12, carried=True),
        Combination(version=Version.DTLS12, server_chain=True),
        Combination(carried=True, named=False),
        Combination(version=Version.DTLS12, key=Key.ED25519),
    ],
)
def test_what_cannot_be_has_a_reason_and_is_not_run(measuring: Measuring, combination: Combination) -> None:
    reason = combination.unavailable_because
    assert reason
    with pytest.raises(Misuse, match=reason):
        measuring.octets(combination)


def test_the_reason_about_ed25519_is_still_true(measuring: Measuring) -> None:
    """When OpenSSL learns it, the rule has to go."""
    with pytest.raises(TlsError, match="no shared cipher"):
        measuring._run(Combination(version=Version.DTLS12, key=Key.ED25519))


# --- handshakes


def possible(combinations: list[Combination]) -> list[Combination]:
    return [combination for combination in combinations if combination.unavailable_because is None]


def test_all_that_is_said_to_be_possible_is(measuring: Measuring) -> None:
    """The whole product; a handshake takes a few milliseconds."""
    for combination in possible(every()):
        octets = measuring.octets(combination)
        assert octets.client > 0 < octets.server
        assert octets.both == sum(sum(flight) for flight in octets.flights)
        expected = {Version.TLS13: 3, Version.TLS12: 4, Version.DTLS12: 6}[combination.version]
        assert len(octets.flights) == expected, combination


@pytest.mark.parametrize("version", [Version.TLS13, Version.TLS12, Version.DTLS12])
def test_a_name_costs_its_octets_and_its_extension(measuring: Measuring, version: Version) -> None:
    """Four octets of header and one of length with the name; five (or four, where nothing is inside) in the question.
    DTLS says the hello, and the name in it, twice. Signatures and random lengths differ by a few."""
    for client in (Form.CHAIN, Form.RAW):
        plain = measuring.octets(Combination(version=version, client=client, named=False))
        named = measuring.octets(Combination(version=version, client=client, named=True))
        times = 2 if version is Version.DTLS12 else 1
        assert abs(named.client - plain.client - times * (len(CLIENT) + 5)) <= 6
        assert 0 <= named.server - plain.server <= 5 + 6


def test_raw_keys_against_chains_reach_the_target(measuring: Measuring) -> None:
    raw = measuring.octets(Combination(client=Form.RAW, server=Form.RAW))
    assert raw.both / measuring.octets(raw.combination.baseline).both <= 0.6


def test_the_hybrid_group_costs_what_ml_kem_says(measuring: Measuring) -> None:
    """FIPS 203: an encapsulation key of 1184 octets and a ciphertext of 1088."""
    for client in Form:
        plain, hybrid = (measuring.octets(Combination(client=client, group=group)) for group in Group)
        assert abs(hybrid.client - plain.client - 1184) <= 12
        assert abs(hybrid.server - plain.server - 1088) <= 12


@pytest.mark.parametrize("client", [Form.SELF_SIGNED, Form.RAW])
def test_a_carried_chain_costs_what_it_has(measuring: Measuring, client: Form) -> None:
    """A header of four octets around it, and as much for the server's question."""
    without, carried = (measuring.octets(Combination(client=client, carried=carried)) for carried in (False, True))
    assert abs(carried.client - without.client - len(measuring._chains.client) - 4) <= 6
    assert abs(carried.server - without.server - 4) <= 6


@pytest.mark.parametrize("version", [Version.TLS13, Version.TLS12])
def test_a_servers_chain_costs_what_it_has(measuring: Measuring, version: Version) -> None:
    plain = Combination(version=version, client=Form.RAW, server=Form.RAW)
    without, served = (measuring.octets(replace(plain, server_chain=there)) for there in (False, True))
    assert abs(served.server - without.server - len(measuring._chains.server) - 4) <= 6
    assert abs(served.client - without.client - 6) <= 6, "the question: four octets of header and the port"


def test_ml_dsa_costs_what_fips_204_says(measuring: Measuring) -> None:
    """A raw key is 1312 octets and a signature 2420 for ML-DSA-44; 1952 and 3309 for ML-DSA-65."""
    sizes = {Key.MLDSA44: 1312 + 2420, Key.MLDSA65: 1952 + 3309}
    for key, octets in sizes.items():
        measured = measuring.octets(Combination(client=Form.RAW, server=Form.RAW, key=key))
        assert octets < measured.client < octets + 600
        assert octets < measured.server < octets + 600


def test_a_chain_costs_its_intermediate(measuring: Measuring) -> None:
    chain, alone, raw = (measuring.octets(Combination(client=form)).client for form in Form)
    assert chain - alone > 300
    assert alone - raw > 300


def test_a_smaller_link_takes_more_packets_of_the_same_octets() -> None:
    combination = Combination(version=Version.DTLS12, named=True)
    measured = [Measuring(mtu=mtu, now=NOW).octets(combination) for mtu in (9000, 1500, 1280, 576, 127)]
    counts = [octets.packets.count for octets in measured]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]
    for larger, smaller in pairwise(measured):
        assert abs(smaller.both - larger.both) < 200, "DTLS's own fragments have a header each"
    assert max(size for flight in measured[2].flights for size in flight) <= 1280 - 48


def test_tcp_segments_follow_the_link_too() -> None:
    combination = Combination(group=Group.X25519MLKEM768, named=False)
    assert Measuring(mtu=576, now=NOW).octets(combination).packets.count > 2 * 3


def test_a_handshake_that_fails_is_an_error_and_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends with no group in common: what OpenSSL says is the reason."""
    measuring = Measuring(now=NOW)
    groups = iter(["X25519", "P-256"])
    monkeypatch.setattr("dnsbound.testing.octet_measure._groups", lambda _combination: next(groups))
    with pytest.raises(CannotMeasureError, match="the handshake failed"):
        measuring.octets(Combination())


def test_octets_are_values() -> None:
    one = Octets(combination=Combination(), flights=((10,), (20, 5), (7,)), mtu=1280)
    assert (one.client, one.server, one.both) == (17, 25, 42)
    assert one.packets == one.client_packets + one.server_packets == Packets(4, 42 + 4 * 60)
    over_udp = replace(one, combination=Combination(version=Version.DTLS12))
    assert over_udp.packets == Packets(4, 42 + 4 * 48)
