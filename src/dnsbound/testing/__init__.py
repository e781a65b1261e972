"""A signed miniature Internet in one process, for this package's tests and for yours.

`World` is documented in `dnsbound.testing.world`. The pytest plugin `dnsbound.testing.pytest_plugin` has a fixture
`world` that yields an open one.
"""

from dnsbound.dns.authority import Transport
from dnsbound.testing.faults import Fault
from dnsbound.testing.organisation import Device, Organisation
from dnsbound.testing.query_log import Face, Query
from dnsbound.testing.world import RESOLVER_NAME, World

__all__ = ["RESOLVER_NAME", "Device", "Face", "Fault", "Organisation", "Query", "Transport", "World"]
