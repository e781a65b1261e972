"""A web application that asks who its client is in the middle of a connection, and a client that answers.

Anybody may read /; at /diary the application answers 401, the middleware adds a challenge, and the client's transport
proves its name on the same connection. It works over HTTP/1.1 and HTTP/2.
"""

import httpx
import stage
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import dnsbound
from dnsbound.adapters.asgi_late import LateAuthenticationMiddleware
from dnsbound.adapters.httpx_late import LateAuthenticationTransport


async def front_page(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello, whoever you are")


async def diary(_request: Request) -> PlainTextResponse:
    peer = dnsbound.verified_peer()
    if peer is None:
        return PlainTextResponse("say who you are", status_code=401)
    return PlainTextResponse(f"the diary of {peer.name}")


app = Starlette(
    routes=[Route("/", front_page), Route("/diary", diary)],
    middleware=[Middleware(LateAuthenticationMiddleware)],
)


def server(context: dnsbound.Context) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        loop="dnsbound:loop_factory",
        ssl_context_factory=lambda _config, _default: context,
        log_level="warning",
    )
    return uvicorn.Server(config)


def read(url: str, credential: dnsbound.Credential, context: dnsbound.Context) -> None:
    with httpx.Client(transport=LateAuthenticationTransport(credential, context)) as client:
        print(client.get(url).text)  # hello, whoever you are
        print(client.get(f"{url}diary").text)  # the diary of car54._device.cars.example


def main() -> None:
    with stage.stage() as at, stage.listening() as (listener, port):
        authenticator = dnsbound.Authenticator(
            dnsbound.AccessFile(at.files / "access.toml"), at.world.resolver(), door="api"
        )
        door = dnsbound.Context.server(
            dnsbound.load_credential(at.files / "server.pem"), authenticator=authenticator, policy="optional"
        )
        serving = server(door)

        def stop() -> None:
            serving.should_exit = True

        context = dnsbound.Context.client()  # shows nothing in the handshake
        context.load_verify_locations(at.files / "web-root.pem")
        with stage.on_a_thread(lambda: serving.run(sockets=[listener]), stop):
            read(f"https://localhost:{port}/", dnsbound.load_credential(at.files / "car54.pem"), context)


if __name__ == "__main__":
    main()
