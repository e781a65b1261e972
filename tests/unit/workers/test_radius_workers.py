"""What workers of one RADIUS server pass to each other, and what all of them counted together."""

import asyncio
import hashlib
from collections import Counter

import pytest

from dnsbound.edge.radius_clients import RadiusClient, RadiusClients, RadiusOrigin, RadiusTransport
from dnsbound.edge.radius_counters import RadiusCounters
from dnsbound.edge.radius_totals import RadiusTotals, SessionCounts
from dnsbound.edge.radius_workers import RadiusWorker, RadiusWorkers
from dnsbound.edge.worker_exchange import ExchangeCounts
from dnsbound.edge.worker_totals import WorkerTotals
from dnsbound.iana import RadiusAttribute, RadiusCode
from dnsbound.protocols.radius import RadiusPacket

NAS = RadiusClient(label="nas", secrets=(b"a secret of one NAS",))
PROXY = RadiusClient(label="a proxy's ünusual\0label", secrets=(b"a secret of one proxy",))


class Configuration:
    def __init__(self, clients):
        self.clients = RadiusClients(clients)


class Service:
    """Answers with what it was asked, and whom it saw."""

    def __init__(self, worker, clients=(NAS, PROXY)):
        self.configuration = Configuration(clients)
        self.counters = RadiusCounters()
        self.worker, self.seen = worker, []

    def respond(self, octets, origin, request=None):
        assert request is None or request.to_wire() == octets
        self.seen.append((octets, origin))
        return b"%d" % self.worker if len(self.seen) % 2 else self.later()

    async def later(self):
        return b"%d" % self.worker


def request(seed, *attributes):
    body = b"".join(bytes((kind, len(value) + 2)) + value for kind, value in attributes)
    random = hashlib.shake_128(b"%d" % seed).digest(16)
    return bytes((RadiusCode.ACCESS_REQUEST, seed % 256)) + (20 + len(body)).to_bytes(2, "big") + random + body


def origin(**different):
    said = {"transport": RadiusTransport.UDP, "address": "192.0.2.7", "port": 1645, "client": NAS}
    return RadiusOrigin(**{**said, **different})


async def answered(answer):
    return await answer if asyncio.iscoroutine(answer) else answer


async def together(test, *, clients=((NAS, PROXY), (NAS, PROXY))):
    """test(shared, parts, services, responds), each of the last three for two workers in one loop."""
    shared = RadiusWorkers(2, ticket_seconds=0)
    try:
        parts = [RadiusWorker(shared, index, None) for index in range(2)]
        services = [Service(index, those) for index, those in enumerate(clients)]
        with parts[0], parts[1]:
            for _ in range(3):
                await asyncio.sleep(0)
            responds = [part.route(service) for part, service in zip(parts, services, strict=True)]
            await asyncio.wait_for(test(shared, parts, services, responds), 30)
    finally:
        shared.close()


def test_each_request_is_answered_by_its_worker_whoever_received_it():
    async def test(shared, parts, services, responds):
        for seed in range(60):
            asked = request(seed)
            owner = shared.routing.worker_for(asked, "192.0.2.7", 1645)
            for respond in responds:
                assert await answered(respond(asked, origin())) == b"%d" % owner
            assert services[owner].seen[-2:] == [(asked, origin())] * 2
        assert all(service.seen for service in services)

    asyncio.run(together(test))


def test_a_conversation_stays_where_its_state_was_given_out():
    async def test(shared, parts, services, responds):
        for worker, part in enumerate(parts):
            state = part.marked(bytes(range(16)))
            for seed in range(20):
                asked = request(seed, (RadiusAttribute.STATE, state))
                for respond in responds:
                    assert await answered(respond(asked, origin(port=seed))) == b"%d" % worker

    asyncio.run(together(test))


@pytest.mark.parametrize(
    "sender",
    [
        origin(client=PROXY),
        origin(transport=RadiusTransport.TLS, address="2001:db8::7", port=65535),
        origin(transport=RadiusTransport.DTLS),
        origin(accounting=True),
    ],
)
def test_the_worker_learns_where_it_came_from(sender):
    async def test(shared, parts, services, responds):
        asked = request(1, (RadiusAttribute.STATE, parts[1].marked(bytes(16))))
        assert await answered(responds[0](asked, sender)) == b"1"
        assert services[1].seen == [(asked, sender)]
        assert services[1].seen[0][1].secrets == sender.secrets

    asyncio.run(together(test))


def test_a_client_is_asked_over_a_connection_of_whichever_worker_has_one():
    session = ((int(RadiusAttribute.CALLING_STATION_ID), b"02-00-00-00-00-54"),)

    async def test(shared, parts, services, responds):
        asked = []

        def connections(worker, answer):
            async def ask(label, attributes):
                asked.append((worker, label, attributes))
                return answer

            return ask

        nak = RadiusPacket(code=RadiusCode.DISCONNECT_NAK, identifier=3, authenticator=bytes(16), attributes=session)
        first = parts[0].ask_back(connections(0, None))
        assert await first(PROXY.label, session) is None  # the other does not serve yet
        assert asked == [(0, PROXY.label, session)]
        second = parts[1].ask_back(connections(1, nak))
        assert await first(PROXY.label, session) == nak
        assert asked[1:] == [(0, PROXY.label, session), (1, PROXY.label, session)]
        assert await second(PROXY.label, session) == nak
        assert asked[3:] == [(1, PROXY.label, session)]  # its own is enough

    asyncio.run(together(test))


def test_a_client_that_only_one_worker_knows_yet_is_not_answered_by_the_other():
    """While a configuration is read again."""

    async def test(shared, parts, services, responds):
        asked = request(1, (RadiusAttribute.STATE, parts[1].marked(bytes(16))))
        assert await answered(responds[0](asked, origin(client=PROXY))) is None
        assert services[1].seen == []

    asyncio.run(together(test, clients=((NAS, PROXY), (NAS,))))


def test_a_worker_that_does_not_serve_yet_says_nothing():
    async def test():
        shared = RadiusWorkers(2, ticket_seconds=0)
        with RadiusWorker(shared, 0, None) as serving, RadiusWorker(shared, 1, None) as beginning:
            for _ in range(3):
                await asyncio.sleep(0)
            respond = serving.route(Service(0))
            asked = request(1, (RadiusAttribute.STATE, beginning.marked(bytes(16))))
            assert await asyncio.wait_for(answered(respond(asked, origin())), 30) is None
        shared.close()

    asyncio.run(test())


def test_alone_nothing_is_routed():
    async def test():
        shared = RadiusWorkers(1, ticket_seconds=0)
        with RadiusWorker(shared, 0, None) as part:
            service = Service(0)
            assert part.route(service) == service.respond
        shared.close()

    asyncio.run(test())


# --- totals


def totals(number):
    return RadiusTotals(
        radius=RadiusCounters(
            requests=Counter({"ACCESS_REQUEST": number}),
            conversations=number,
            authentications=Counter({("a", "b", "c"): 2}),
        ),
        sessions=SessionCounts(sessions=number, ended=Counter({"stopped": number}), waiting=number, down=1, lost=2),
        exchange=ExchangeCounts(asked=number),
    )


def test_totals_travel_and_add_up():
    one = totals(3)
    assert RadiusTotals.from_octets(one.to_octets()) == one
    one.add(totals(4))
    assert one.radius.requests == {"ACCESS_REQUEST": 7}
    assert one.radius.authentications == {("a", "b", "c"): 4}
    assert (one.sessions.sessions, one.sessions.ended, one.sessions.lost) == (7, {"stopped": 7}, 4)
    assert one.exchange.asked == 7


def test_who_takes_a_dead_ones_place_counts_on_and_has_none_of_its_conversations():
    shared = RadiusWorkers(2, ticket_seconds=0)
    first, other = WorkerTotals(RadiusTotals, shared.snapshots, 0), WorkerTotals(RadiusTotals, shared.snapshots, 1)
    assert RadiusTotals.of_all(shared.snapshots) == RadiusTotals()
    other.leave(totals(100))
    for number in (3, 5):
        first.leave(totals(number))
    second = WorkerTotals(RadiusTotals, shared.snapshots, 0)
    assert RadiusTotals.of_all(shared.snapshots).radius.requests == {"ACCESS_REQUEST": 105}
    for number in (1, 2):
        second.leave(totals(number))
    found = RadiusTotals.of_all(shared.snapshots)
    assert found.radius.requests == {"ACCESS_REQUEST": 107}
    assert found.sessions.ended == {"stopped": 107}
    assert (found.radius.conversations, found.sessions.sessions) == (102, 102)
    assert (found.sessions.waiting, found.sessions.down) == (102, 2)
    assert found.starts == 3
    shared.close()


def test_counters_that_go_on_are_not_counted_twice():
    shared = RadiusWorkers(1, ticket_seconds=0)
    kept = WorkerTotals(RadiusTotals, shared.snapshots, 0)
    own = totals(3)
    for _ in range(3):
        kept.leave(own)
    assert own == totals(3)
    assert RadiusTotals.of_all(shared.snapshots).radius.requests == {"ACCESS_REQUEST": 3}
    shared.close()
