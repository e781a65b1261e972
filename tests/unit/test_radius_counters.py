"""Events of authentications, and what is counted of them."""

import json
import logging

from dnsbound.edge.radius_audit import AUDIT, AccessEvent, AccessVerdict, verdict_of, write_audit
from dnsbound.edge.radius_counters import LATENCY_BOUNDS, RadiusCounters
from dnsbound.errors import PeerError, Reason, Refused, Undecided


def event(**said) -> AccessEvent:
    given = {"at": 0.0, "verdict": AccessVerdict.ADMITTED, "network": "public", "client": "nas", "seconds": 0.02}
    return AccessEvent(**{**given, **said})


def test_an_event_is_one_line_of_json_with_what_is_set(caplog):
    hostile = 'car\n"54'
    with caplog.at_level(logging.INFO, AUDIT):
        write_audit(event(identity=hostile, tls_version="TLSv1.3", detail="x" * 5000, reply=("Session-Timeout",)))
    (record,) = caplog.records
    assert "\n" not in record.getMessage()
    shown = json.loads(record.getMessage())
    assert shown == record.access
    assert (shown["identity"], shown["resumed"], shown["ms"], shown["verdict"]) == (hostile, False, 20.0, "admitted")
    assert len(shown["detail"]) == 1000
    assert "reason" not in shown


def test_three_ends_and_what_is_none():
    assert verdict_of(Refused(Reason.NO_TLSA)) == (AccessVerdict.REFUSED, "no-tlsa")
    assert verdict_of(Undecided(Reason.DNS_FAILED)) == (AccessVerdict.UNDECIDED, "dns-failed")
    assert verdict_of(PeerError("x")) == (AccessVerdict.FAILED, "")


def test_counters_of_processes_add_up_and_travel_as_json():
    one, two = RadiusCounters(), RadiusCounters()
    for seconds in (0.001, 0.02, 99.0):
        one.concluded(event(seconds=seconds))
    two.concluded(event(verdict=AccessVerdict.REFUSED, reason="no-tlsa"))
    two.dropped["malformed"] += 2
    two.duplicates, two.conversations, two.gave_way, two.expired = 1, 2, 3, 4
    two.requests["ACCESS_REQUEST"] += 5
    two.old_secrets["nas"] += 6
    one.add(RadiusCounters.from_json(json.loads(json.dumps(two.to_json()))))
    one.add(two)
    assert one.authentications == {("public", "admitted", ""): 3, ("public", "refused", "no-tlsa"): 2}
    assert one.latency[0] == 1
    assert one.latency[len(LATENCY_BOUNDS)] == 1
    assert sum(one.latency) == 5
    assert abs(one.latency_seconds - 99.061) < 1e-9
    assert (one.duplicates, one.conversations, one.gave_way, one.expired) == (2, 4, 6, 8)
    assert (one.dropped["malformed"], one.requests["ACCESS_REQUEST"], one.old_secrets["nas"]) == (4, 10, 12)
