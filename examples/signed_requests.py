"""An API that knows its clients by their signatures on each request, and a client that knows who answered.

There is no TLS between them here, as behind a proxy that ends it: names and keys are in the messages.
"""

import asyncio

import httpx
import stage
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import dnsbound
from dnsbound.adapters.http_signatures_asgi import SignedRequestsMiddleware
from dnsbound.adapters.http_signatures_httpx import SignedByName
from dnsbound.edge.nonces import NoncesHere
from dnsbound.edge.signed_requests import SignedRequests

ORIGIN = "https://api.cars.example"


async def report(request: Request) -> PlainTextResponse:
    content = await request.body()
    return PlainTextResponse(f"{request.state.verified_peer.name} drove {content.decode()}")


async def main() -> None:
    with stage.stage() as at:
        resolver = at.world.resolver()
        server = at.world.organisation("cars.example").identity("api").credential
        car = dnsbound.load_credential(at.files / "car54.pem")

        verifier = dnsbound.ObjectVerifier(dnsbound.AccessFile(at.files / "access.toml"), resolver, door="api")
        requests = SignedRequests(verifier, origin=ORIGIN, nonces=NoncesHere())
        application = Starlette(routes=[Route("/reports", report, methods=["POST"])])
        app = SignedRequestsMiddleware(application, requests, answers=server)

        answers = dnsbound.ObjectVerifier.expecting(["api.cars.example"], resolver)
        auth = SignedByName(car, answers=answers)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
            response = await client.post("/reports", content=b"42 km", auth=auth)
            print(response.text)  # car54._device.cars.example drove 42 km
            print(response.extensions["dnsbound"].name)  # api.cars.example

            again = await client.post("/reports", content=b"42 km", headers=response.request.headers)
            print(again.status_code)  # 401: that request was taken before


if __name__ == "__main__":
    asyncio.run(main())
