"""Limits of the doors beside other people's servers: the verify service, the gate, and what they speak.

They are kept apart from `dnsbound.limits` for length alone; the rules are the same.
"""

from typing import Final

from dnsbound.budget import Limit

FRONT_CONNECTIONS: Final = Limit(
    "front-connections", 1024, 1, 1_000_000, "connections of one front at once; nginx keeps one for each it needs"
)
FRONT_QUESTIONS: Final = Limit(
    "front-questions", 1024, 1, 1_000_000, "questions of one front that wait for the DNS at once"
)
FRONT_HEADER_OCTETS: Final = Limit(
    "front-header-octets",
    65_536,
    8192,
    1_048_576,
    "octets of a request's head: a chain of ML-DSA certificates in URL-escaped PEM, and the client's own fields",
)
FRONT_BODY_OCTETS: Final = Limit(
    "front-body-octets", 131_072, 1024, 1_048_576, "octets of a request's body: ten certificates in PEM"
)
FRONT_REQUEST_SECONDS: Final = Limit(
    "front-request-seconds", 10, 1, 300, "from a request's first octet to its last: fronts are near, and quick"
)
FRONT_IDLE_SECONDS: Final = Limit(
    "front-idle-seconds", 120, 1, 86_400, "of a kept connection between two requests; nginx closes after 60 by itself"
)
FRONT_SECRET_OCTETS: Final = Limit(
    "front-secret-octets", 22, 22, 512, "characters of a front's secret: 22 of base64 or more hold 128 bits"
)
