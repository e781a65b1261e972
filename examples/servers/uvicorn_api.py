"""An HTTPS API on uvicorn whose clients are known by DNS name.

    python examples/servers/uvicorn_api.py server.pem access.toml

server.pem: the server's certificate and key. access.toml: [door.api] allow = ["car54._device.cars.example"].
"""

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from dnsbound import AccessFile, Authenticator, Context, Resolver, load_credential, verified_peer


def hello(request: Request) -> JSONResponse:
    peer = verified_peer()
    return JSONResponse({"hello": str(peer.name) if peer else None, "path": request.url.path})


app = Starlette(routes=[Route("/", hello)])


def main(credential_file: str, access_file: str) -> None:
    authenticator = Authenticator(AccessFile(access_file), Resolver.from_system(), door="api")
    context = Context.server(load_credential(credential_file), authenticator=authenticator)
    uvicorn.run(app, port=8443, loop="dnsbound:loop_factory", ssl_context_factory=lambda *_: context)


if __name__ == "__main__":
    main(*sys.argv[1:])
