"""RabbitMQ with the configuration of `dnsbound config rabbitmq`, behind the gate with the file beside it."""

import os
import shutil
from contextlib import contextmanager
from dataclasses import replace

import pytest

from dnsbound.adapters.fronts import rabbitmq as configured
from dnsbound.adapters.fronts.snippet import Address
from dnsbound.testing.front_trials.broker_trial import BrokerTrial
from dnsbound.testing.front_trials.running import Around, ServerTrial, written
from interop.daemon import free_port
from interop.fronts import failures
from interop.rabbitmq_node import SERVER, rabbitmq

pytestmark = pytest.mark.peer("rabbitmq-server")


class RabbitTrial(BrokerTrial):
    """The same clients; the node starts as its own user, beside the verify service that it asks."""

    @contextmanager
    def _broker(self):
        stage, plain = self._stage, self._trial.snippet
        own = stage.settings(plain, version=None)
        backend = Address(host="127.0.0.1", port=free_port())
        self._settings = replace(self._settings, verifier=own.verifier, backend=backend)
        paths = {path.name: path for path in (written(stage, file) for file in plain.rendered(self._settings))}
        for path in paths.values():
            os.chown(path, 0, 0)
            if path.suffix == ".password":  # both tables name it, each beside its own file
                shutil.copy(path, stage.directory)
        stage.start_verifier(plain, self._settings)
        conf = "log.console = true\n" + "".join(
            path.read_text() for name, path in sorted(paths.items()) if name.endswith(".conf")
        )
        with rabbitmq(stage.place, conf):
            yield next(path for name, path in paths.items() if name.endswith("-gate.toml"))


def test_cs_02_the_printed_configuration_holds():
    if os.geteuid() != 0 or not SERVER.exists():
        pytest.skip("RabbitMQ's start as its own user needs root")
    trial = ServerTrial(
        snippet=configured.SNIPPET, kind="broker", around=lambda *_: Around(command=[]), grants=configured.GRANTS
    )
    with trial.stage() as stage:
        tried = list(RabbitTrial(stage, trial, "", None).run())
    assert failures(tried) == []
    assert len(tried) == 11
