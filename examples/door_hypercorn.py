"""The same API under unmodified hypercorn, HTTP/2 included."""

import asyncio

import httpx
import hypercorn.asyncio
import stage
from door_uvicorn import app
from hypercorn.config import Config

import dnsbound


class DoorConfig(Config):
    """hypercorn makes its TLS context in its Config: there a program hands in its own."""

    context: dnsbound.Context

    @property
    def ssl_enabled(self) -> bool:
        return True

    def create_ssl_context(self) -> dnsbound.Context:
        self.context.set_alpn_protocols(self.alpn_protocols)
        return self.context


async def serve(context: dnsbound.Context, bind: str, ended: asyncio.Event) -> None:
    config = DoorConfig()
    config.context = context
    config.bind = [bind]
    await hypercorn.asyncio.serve(app, config, shutdown_trigger=ended.wait)  # type: ignore[arg-type]


# The program: asyncio.Runner(loop_factory=dnsbound.loop_factory).run(serve(...)); here, beside a client.
if __name__ == "__main__":
    with stage.stage() as at, stage.listening() as (listener, port):
        context = stage.door(at.files, at.world.resolver())
        with stage.running(lambda ended: serve(context, f"fd://{listener.detach()}", ended)):
            with httpx.Client(verify=stage.client(at.files), http2=True) as client:
                response = client.get(f"https://localhost:{port}/")
                print(response.http_version, response.text)  # HTTP/2 hello car54._device.cars.example
