"""The table of EAP conversations: bounds, who gives way, when time is over."""

import random
from dataclasses import dataclass

import pytest

from dnsbound.edge.eap_conversations import ConversationTable
from dnsbound.errors import Misuse


@dataclass(eq=False)
class Talk:
    source: str
    station: str = ""
    owner: str = "nas"


def filled(table: ConversationTable[Talk], *talks: tuple[bytes, Talk], now: float = 0.0) -> list[Talk]:
    return [gone for state, talk in talks for gone in table.add(state, talk, now=now)]


def test_a_conversation_is_found_by_its_state_until_it_is_removed():
    table: ConversationTable[Talk] = ConversationTable()
    talk = Talk("a")
    table.add(b"1", talk, now=0)
    assert table.find(b"1", now=1) is talk
    assert table.find(b"2", now=1) is None
    table.remove(b"1")
    table.remove(b"1")
    assert (table.find(b"1", now=1), len(table), list(table)) == (None, 0, [])


def test_time_is_over_from_the_beginning_whatever_happens():
    table: ConversationTable[Talk] = ConversationTable(seconds=10)
    talk = Talk("a", "s")
    table.add(b"1", talk, now=0)
    for now in range(1, 10):
        assert table.find(b"1", now=now) is talk
    assert table.find(b"1", now=10) is None
    assert table.expired(now=9.9) == []
    assert table.expired(now=10) == [talk]
    assert len(table) == 0


def test_a_full_table_takes_newcomers_and_the_greediest_source_gives_way():
    table: ConversationTable[Talk] = ConversationTable(at_once=5)
    honest = Talk("honest")
    filled(table, (b"h", honest))
    greedy = [Talk("greedy") for _ in range(50)]
    gone = filled(table, *((bytes([7, number]), talk) for number, talk in enumerate(greedy)))
    assert gone == greedy[: len(gone)]
    assert len(table) == 5
    assert table.find(b"h", now=1) is honest


def test_a_client_that_invents_sources_displaces_its_own():
    """Each of its conversations comes by another NAS, as it says; the honest ones all by one."""
    table: ConversationTable[Talk] = ConversationTable(at_once=11)
    honest = [Talk("honest") for _ in range(5)]
    filled(table, *((bytes([8, number]), talk) for number, talk in enumerate(honest)))
    greedy = [Talk(f"ap{number}", owner="proxy") for number in range(50)]
    gone = filled(table, *((bytes([7, number]), talk) for number, talk in enumerate(greedy)))
    assert gone == greedy[: len(gone)]
    assert {*honest} < {*table}


def test_a_client_with_half_of_the_table_or_less_is_not_to_blame():
    table: ConversationTable[Talk] = ConversationTable(at_once=6)
    proxied = [Talk(f"ap{number}", owner="proxy") for number in range(3)]
    filled(table, *((bytes([7, number]), talk) for number, talk in enumerate(proxied)))
    greedy = [Talk("greedy") for _ in range(3)]
    filled(table, *((bytes([8, number]), talk) for number, talk in enumerate(greedy)))
    assert filled(table, (b"n", Talk("ap9", owner="proxy"))) == [greedy[0]]
    # Now it has more than half, and each of its sources as much as any other.
    assert filled(table, (b"g", Talk("greedy"))) == [proxied[0]]


def test_of_a_source_the_one_that_was_silent_longest_gives_way():
    table: ConversationTable[Talk] = ConversationTable(at_once=3)
    one, two, three, four = (Talk("a") for _ in range(4))
    filled(table, (b"1", one), (b"2", two), (b"3", three))
    table.find(b"1", now=1)
    assert filled(table, (b"4", four), now=1) == [two]
    assert table.find(b"1", now=1) is one


def test_a_station_has_a_share_at_each_source():
    table: ConversationTable[Talk] = ConversationTable(per_station=2)
    talks = [Talk("a", "s") for _ in range(3)]
    elsewhere, unknown = Talk("b", "s"), [Talk("a") for _ in range(3)]
    filled(table, (b"e", elsewhere), *((bytes([9, number]), talk) for number, talk in enumerate(unknown)))
    assert filled(table, *((bytes([number]), talk) for number, talk in enumerate(talks))) == [talks[0]]
    assert len(table) == 6


@pytest.mark.parametrize("bounds", [{"at_once": 0}, {"per_station": 0}, {"seconds": 1}])
def test_bounds_have_limits(bounds):
    with pytest.raises(Misuse):
        ConversationTable(**bounds)


def test_whatever_happens_the_books_agree():
    """Against a model: a list of what is in, in the order of the last word of each."""
    rolled = random.Random(5)
    table: ConversationTable[Talk] = ConversationTable(at_once=20, per_station=3, seconds=30)
    model: dict[bytes, tuple[Talk, float]] = {}
    for step in range(5000):
        now = step / 10
        state = bytes([rolled.randrange(40), rolled.randrange(4)])
        match rolled.randrange(4):
            case 0 | 1 if state not in model:
                talk = Talk(f"nas{rolled.randrange(4)}", f"station{rolled.randrange(5)}" if rolled.randrange(2) else "")
                talk.owner = f"client{rolled.randrange(3)}"
                gone = [*table.expired(now=now), *table.add(state, talk, now=now)]
                model = {key: kept for key, kept in model.items() if kept[0] not in gone}
                model[state] = talk, now + 30
            case 2:
                found = table.find(state, now=now)
                expected = model.get(state)
                assert found is (expected[0] if expected and expected[1] > now else None)
            case _:
                table.remove(state)
                model.pop(state, None)
        assert {id(talk) for talk in table} == {id(talk) for talk, _ in model.values()}
        assert len(table) <= 20
        held: dict[tuple[str, str], int] = {}
        for talk in table:
            held[talk.source, talk.station] = held.get((talk.source, talk.station), 0) + 1
        assert all(number <= 3 for (_, station), number in held.items() if station)
    for state in list(model):
        table.remove(state)
    everybody = table._all
    books = (everybody._by_source, everybody._by_size, everybody, table._of_client, table._by_station, table._kept)
    assert [len(book) for book in books] == [0] * 6
