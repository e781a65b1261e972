"""An API under unmodified uvicorn that knows its callers by DNS name; any ASGI framework does."""

import httpx
import stage
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import dnsbound


async def greet(_request: Request) -> PlainTextResponse:
    peer = dnsbound.verified_peer()
    assert peer is not None  # None under policy="optional" alone
    return PlainTextResponse(f"hello {peer.name}")


app = Starlette(routes=[Route("/", greet)])


def server(context: dnsbound.Context) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        loop="dnsbound:loop_factory",
        ssl_context_factory=lambda _config, _default: context,
        log_level="warning",
    )
    return uvicorn.Server(config)  # server.run() serves


if __name__ == "__main__":
    with stage.stage() as at, stage.greeting_api(at) as url:
        with httpx.Client(verify=stage.client(at.files)) as client:
            print(client.get(url).text)  # hello car54._device.cars.example
        try:
            httpx.get(url, verify=stage.client(at.files, "car55"))
        except httpx.HTTPError as error:
            print(f"car55 is shut out: {error}")
