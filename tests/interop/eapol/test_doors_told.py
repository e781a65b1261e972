"""Who is in by wpa_supplicant's peer, as the boards of a RADIUS server's workers tell it; forgetting a name there."""

import json

import pytest

from dnsbound.edge.board_asking import ForgottenAt, boards, forget_everywhere, who
from dnsbound.edge.board_lines import Board, Inside
from dnsbound.testing.world import World
from interop.radius_eapol import eapol_test
from interop.radius_processes import radius_processes
from interop.radius_server import SECRET

pytestmark = pytest.mark.peer("eapol_test")


def test_workers_tell_who_is_in_share_a_log_and_forget_at_once(tmp_path):
    runtime, log = tmp_path / "run", tmp_path / "decisions.jsonl"
    with (
        World() as world,
        radius_processes(
            tmp_path, world, settings=f'decisions = "{log}"\n', environment={"DNSBOUND_RUNTIME": str(runtime)}
        ) as running,
    ):
        car = world.organisation("cars.example").device("car54", ttl=3600)
        assert eapol_test(tmp_path, running.supplicant(car), port=running.port, secret=SECRET).admitted
        sockets = boards(runtime)
        told = [line for path in sockets for line in who(path, name=str(car.name))]
        assert [line.kind for line in told if isinstance(line, Board)] == ["radius", "radius"]
        assert {line.pid for line in told if isinstance(line, Board)} == set(running.workers())
        [inside] = [line for line in told if isinstance(line, Inside)]
        assert (inside.name, inside.door, inside.is_live) == (car.name, "public.isp.example", True)
        [line] = [json.loads(line) for line in log.read_text().splitlines()]
        assert (line["name"], line["verdict"]) == (str(car.name), "admitted")

        assert car.revoke()
        answers = forget_everywhere(car.name, directory=runtime)
        assert all(isinstance(answer, ForgottenAt) for answer in answers)
        doors = [door for answer in answers for door in answer.doors if door.door == "public.isp.example"]
        assert [door.records for door in doors] == [(), ()]
        assert sum(door.cut for door in doors) == 1
        running.wait_for(
            lambda: f"{car.name} in public: the session" in running.daemon.log.read_text(), "its session has to end"
        )
        assert [line for path in boards(runtime) for line in who(path) if isinstance(line, Inside)] == []
