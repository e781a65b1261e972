"""Every decision as one line of JSON on a logger, and as a value for metrics."""

import logging
import sys
from collections import Counter

import httpx
import stage

import dnsbound
from dnsbound.verify.decision import Decision

counted: Counter[tuple[str, str]] = Counter()


def count(decision: Decision) -> None:
    counted[decision.verdict.value, decision.reason.value if decision.reason else ""] += 1


def log_decisions() -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("dnsbound.decisions")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


def door(at: stage.Stage) -> dnsbound.Authenticator:
    access = dnsbound.AccessFile(at.files / "access.toml")
    return dnsbound.Authenticator(access, at.world.resolver(), door="api", on_decision=count)


if __name__ == "__main__":
    from door_blocking import Server

    log_decisions()
    with stage.stage() as at:
        own = dnsbound.load_credential(at.files / "server.pem")
        context = dnsbound.Context.server(own, authenticator=door(at))
        with Server(("localhost", 0), context) as server, stage.on_a_thread(server.serve_forever, server.shutdown):
            url = f"https://localhost:{server.server_address[1]}/"
            for car in ("car54", "car55"):
                try:
                    httpx.get(url, verify=stage.client(at.files, car))
                except httpx.HTTPError:
                    continue
    print(dict(counted))  # {('admitted', ''): 1, ('refused', 'not-permitted'): 1}
