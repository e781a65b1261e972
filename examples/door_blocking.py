"""A door without an event loop: the standard library's HTTP server, a thread for each connection."""

import http.server

import httpx
import stage

import dnsbound
from dnsbound.edge.blocking_server import VerifiedPeerMixIn


class Server(VerifiedPeerMixIn, http.server.HTTPServer):
    def __init__(self, address: tuple[str, int], context: dnsbound.Context) -> None:
        self.context = context
        super().__init__(address, Greeting)


class Greeting(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        peer = dnsbound.verified_peer()
        assert peer is not None
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"hello {peer.name}".encode())

    def log_message(self, *_arguments: object) -> None: ...


if __name__ == "__main__":
    with stage.stage() as at, Server(("localhost", 0), stage.door(at.files, at.world.resolver())) as server:
        with stage.on_a_thread(server.serve_forever, server.shutdown):
            url = f"https://localhost:{server.server_address[1]}/"
            print(httpx.get(url, verify=stage.client(at.files)).text)  # hello car54._device.cars.example
