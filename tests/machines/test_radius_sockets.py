"""Ports of a RADIUS server: shared by its own workers and by nobody else."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from dnsbound.edge.radius_configuration import RadiusConfiguration
from dnsbound.edge.radius_sockets import bind_all
from dnsbound.edge.worker_ports import endpoint_of
from dnsbound.errors import Misuse
from dnsbound.testing.world import World
from interop.radius_server import radius_files

KEYS = {"listen": "authentication", "radsec": "radsec", "radsec_dtls": "radsec_dtls"}


@pytest.fixture
def configuration(tmp_path: Path) -> RadiusConfiguration:
    with World() as world:
        settings = 'radsec = ["127.0.0.1:0"]\nradsec_dtls = ["127.0.0.1:0"]'
        return radius_files(tmp_path, world, settings=settings)


def test_workers_share_each_port(configuration):
    with ExitStack() as held:
        one, two = bind_all(configuration, workers=2)
        held.callback(one.close)
        held.callback(two.close)
        assert one.endpoints() == two.endpoints()
        assert all(endpoint_of(each).port for each in (*one.authentication, *one.accounting, *one.radsec))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_server_gets_no_part_of_the_first_ones_conversations(configuration, key, workers):
    """SO_REUSEPORT would let it have one."""
    with ExitStack() as held:
        bound = bind_all(configuration, workers=2)
        for each in bound:
            held.callback(each.close)
        taken = endpoint_of(getattr(bound[0], KEYS[key])[0])
        text = configuration.path.read_text().replace(f'{key} = ["127.0.0.1:0"]', f'{key} = ["{taken}"]')
        second = RadiusConfiguration.from_text(text, path=configuration.path)
        with pytest.raises(Misuse, match=f"cannot listen at {taken}"):
            bind_all(second, workers=workers)
