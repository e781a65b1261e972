"""Public and private pages on one site: only clients that signal are asked who they are, and everybody is served."""

import ssl

import httpx
import stage
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

import dnsbound


async def public(_request: Request) -> Response:
    peer = dnsbound.verified_peer()
    return PlainTextResponse(f"welcome {peer.name}" if peer else "welcome whoever you are")


async def private(_request: Request) -> Response:
    peer = dnsbound.verified_peer()
    if peer is None:
        return PlainTextResponse("say who you are", status_code=403)
    return PlainTextResponse(f"this is for {peer.name} alone")


app = Starlette(routes=[Route("/", public), Route("/private", private)])


def site(authenticator: dnsbound.Authenticator, credential: dnsbound.Credential) -> uvicorn.Server:
    context = dnsbound.Context.server(credential, authenticator=authenticator, policy="optional")
    config = uvicorn.Config(
        app, loop="dnsbound:loop_factory", ssl_context_factory=lambda _config, _default: context, log_level="warning"
    )
    return uvicorn.Server(config)


def visit(context: ssl.SSLContext, port: int) -> None:
    with httpx.Client(verify=context, base_url=f"https://localhost:{port}") as client:
        print(client.get("/").text)
        print(client.get("/private").text)


if __name__ == "__main__":
    with stage.stage() as at, stage.listening() as (listener, port):
        access = dnsbound.AccessFile(at.files / "access.toml")
        authenticator = dnsbound.Authenticator(access, at.world.resolver(), door="api")
        server = site(authenticator, dnsbound.load_credential(at.files / "server.pem"))

        def stop() -> None:
            server.should_exit = True

        with stage.on_a_thread(lambda: server.run(sockets=[listener]), stop):
            visit(ssl.create_default_context(cafile=at.files / "web-root.pem"), port)  # a browser: never asked
            visit(stage.client(at.files), port)  # car54 sends the signal, since it has a credential
