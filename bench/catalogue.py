"""The benchmarks by name, and how many repetitions each has."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Final


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A module with a function that returns a Table, and its arguments."""

    module: str
    full: Mapping[str, int] = field(default_factory=dict)
    quick: Mapping[str, int] = field(default_factory=dict)
    function: str = "measure"

    def measure(self, *, quick: bool) -> str:
        """The table as text. quick: few repetitions."""
        return str(getattr(import_module(self.module), self.function)(**(self.quick if quick else self.full)))


BENCHMARKS: Final[Mapping[str, Benchmark]] = {
    "handshakes": Benchmark("bench.handshakes", {"connections": 2000, "rounds": 5}, {"connections": 200, "rounds": 2}),
    "datagram-handshakes": Benchmark(
        "bench.datagram_handshakes", {"handshakes": 300, "rounds": 5}, {"handshakes": 50, "rounds": 2}
    ),
    "eap": Benchmark("bench.eap", {"authentications": 200, "rounds": 3}, {"authentications": 30, "rounds": 1}),
    "eap-memory": Benchmark("bench.eap_memory", {"conversations": 2000}, {"conversations": 50}),
    "gate": Benchmark("bench.gate", {"connections": 800, "rounds": 3}, {"connections": 80, "rounds": 1}),
    "gate-throughput": Benchmark(
        "bench.gate", {"blocks": 1500, "rounds": 3}, {"blocks": 100, "rounds": 1}, function="throughput"
    ),
    "gate-memory": Benchmark("bench.gate_memory", {"few": 1000, "many": 9500}, {"few": 50, "many": 200}),
    "gate-protocols": Benchmark(
        "bench.gate_protocols", {"questions": 3000, "rounds": 2}, {"questions": 200, "rounds": 1}
    ),
    "verify-service": Benchmark("bench.verify_service", {"seconds": 15}, {"seconds": 1}),
    "auth-request": Benchmark("bench.auth_request", {"questions": 4000, "rounds": 2}, {"questions": 200, "rounds": 1}),
    "object-signatures": Benchmark(
        "bench.object_signatures", {"repeats": 500, "rounds": 15}, {"repeats": 50, "rounds": 2}
    ),
    "http-signatures": Benchmark("bench.http_signatures", {"repeats": 300, "rounds": 9}, {"repeats": 30, "rounds": 2}),
    "ssh-login": Benchmark("bench.ssh_login", {"logins": 200}, {"logins": 10}),
    "reports": Benchmark("bench.reports", {"count": 3000, "rounds": 3}, {"count": 200, "rounds": 1}),
    "resumption": Benchmark("bench.resumption", {"repeats": 500, "rounds": 7}, {"repeats": 50, "rounds": 2}),
    "idle-memory": Benchmark("bench.idle_memory", {"connections": 10_000}, {"connections": 200}),
    "verify-warm": Benchmark("bench.verify_warm", {"repeats": 2000, "rounds": 7}, {"repeats": 200, "rounds": 3}),
    "verify-cold": Benchmark("bench.verify_cold", {"names": 1000, "rounds": 5}, {"names": 200, "rounds": 2}),
    "validator": Benchmark("bench.validator", {"repeats": 1000, "rounds": 7}, {"repeats": 100, "rounds": 3}),
    "carried-chains": Benchmark("bench.carried_chains", {"repeats": 200, "rounds": 7}, {"repeats": 30, "rounds": 3}),
    "radius-codec": Benchmark("bench.radius_codec", {"repeats": 5000, "rounds": 9}, {"repeats": 200, "rounds": 2}),
    "chain-sizes": Benchmark("bench.chain_sizes"),
    "startup": Benchmark("bench.startup", {"rounds": 15}, {"rounds": 3}),
    "access-list": Benchmark("bench.access_list", {"names": 1_000_000, "rounds": 5}, {"names": 50_000, "rounds": 2}),
    "wire-bytes": Benchmark("bench.wire_bytes"),
    "inventory": Benchmark("bench.inventory", {"identities": 1_000_000}, {"identities": 5_000}),
    "publish": Benchmark("bench.publish", {"names": 100_000, "rounds": 1}, {"names": 3000, "rounds": 1}),
    "authority": Benchmark("bench.authority", {"names": 1000, "rounds": 3}, {"names": 100, "rounds": 2}),
    "authorities": Benchmark("bench.authorities", {"names": 1_000_000, "asked": 3000}, {"names": 2000, "asked": 200}),
    "revocation": Benchmark("bench.revocation", {"tries": 20}, {"tries": 3}),
    "large-objects": Benchmark("bench.large_objects", {"mebibytes": 1024, "rounds": 3}, {"mebibytes": 64, "rounds": 1}),
    "adopt": Benchmark("bench.adopt", {"clients": 1_000_000}, {"clients": 2000}),
}
