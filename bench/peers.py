"""The servers we compare with: nginx with mutual TLS and a CA, and Python's own ssl on asyncio.

Each answers one tiny HTTP response and closes. TLS 1.3 only, no tickets, no session cache, one process, X25519, one
P-256 server certificate: the same work for everybody, except how the client is recognised.
"""

import asyncio
import ssl
import sys
from pathlib import Path

RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"


def nginx_configuration(place: Path, port: int) -> Path:
    """Mutual TLS by CA. Files expected in place: server.pem, server.key, clients-ca.pem."""
    file = place / "nginx.conf"
    file.write_text(
        f"""
daemon off; worker_processes 1; pid {place}/nginx.pid; error_log {place}/nginx-error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_timeout 0; client_body_temp_path {place}/b; proxy_temp_path {place}/p;
  fastcgi_temp_path {place}/f; uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {place}/server.pem; ssl_certificate_key {place}/server.key;
    ssl_client_certificate {place}/clients-ca.pem; ssl_verify_client on; ssl_verify_depth 2;
    ssl_protocols TLSv1.3; ssl_session_cache off; ssl_session_tickets off; ssl_ecdh_curve X25519;
    location / {{ return 200 "ok\\n"; }}
  }}
}}
"""
    )
    return file


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One request in, one response out, close."""
    try:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(RESPONSE)
        await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
        return
    finally:
        writer.close()


async def python_ssl(place: Path, port: int) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    context.load_cert_chain(place / "server.pem", place / "server.key")
    context.load_verify_locations(place / "clients-ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_ecdh_curve("X25519")
    server = await asyncio.start_server(answer, "127.0.0.1", port, ssl=context, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(python_ssl(Path(sys.argv[1]), int(sys.argv[2])))
