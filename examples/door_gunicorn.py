"""A WSGI application under unmodified gunicorn that knows its callers by DNS name.

This module is the application and the configuration: `gunicorn -c python:door_gunicorn door_gunicorn:application`.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import httpx
import stage

import dnsbound
from dnsbound.adapters.gunicorn import door
from dnsbound.adapters.wsgi import VerifiedPeerMiddleware

FILES = Path(os.environ.get("DOOR_FILES", "/etc/dnsbound"))


@VerifiedPeerMiddleware
def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"hello {environ['REMOTE_USER']}".encode()]


def make_context() -> dnsbound.Context:  # once in each worker
    anchors = dnsbound.TrustAnchors.from_text((FILES / "anchors.txt").read_text())
    resolver = dnsbound.Resolver([dnsbound.Upstream.parse(os.environ["DNSBOUND_RESOLVER"])], anchors)
    return stage.door(FILES, resolver)


worker_class, workers, threads = "gthread", 2, 8
certfile = keyfile = str(FILES / "server.pem")  # that gunicorn speaks TLS at all
ssl_context = door(make_context)


if __name__ == "__main__":
    with stage.stage() as at, stage.listening() as (listener, port):
        bind = f"fd://{listener.fileno()}"
        command = [
            sys.executable,
            "-m",
            "gunicorn",
            "-c",
            "python:door_gunicorn",
            "-b",
            bind,
            "door_gunicorn:application",
        ]
        env = {**os.environ, **at.world.trust_env(), "DOOR_FILES": str(at.files)}
        gunicorn = subprocess.Popen(
            command, cwd=Path(__file__).parent, env=env, pass_fds=[listener.fileno()], stderr=subprocess.DEVNULL
        )
        try:
            with httpx.Client(verify=stage.client(at.files), timeout=30) as client:
                print(client.get(f"https://localhost:{port}/").text)  # hello car54._device.cars.example
            try:
                httpx.get(f"https://localhost:{port}/", verify=stage.client(at.files, "car55"))
            except httpx.HTTPError as error:
                print(f"car55 is shut out: {error}")
        finally:
            gunicorn.terminate()
            gunicorn.wait(20)
