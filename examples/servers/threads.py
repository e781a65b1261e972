"""The standard library's web server, with a thread for each connection.

python examples/servers/threads.py server.pem access.toml
"""

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from dnsbound import AccessFile, Authenticator, Context, Resolver, load_credential, verified_peer
from dnsbound.edge.blocking_server import VerifiedPeerMixIn


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        peer = verified_peer()
        body = f"hello {peer.name if peer else 'nobody'}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(VerifiedPeerMixIn, HTTPServer):
    pass


def main(credential_file: str, access_file: str) -> None:
    authenticator = Authenticator(AccessFile(access_file), Resolver.from_system(), door="api")
    Server.context = Context.server(load_credential(credential_file), authenticator=authenticator)
    with Server(("localhost", 8443), Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
