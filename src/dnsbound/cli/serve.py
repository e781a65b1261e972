"""`dnsbound serve`: servers in the foreground."""

import typer

from dnsbound.cli import serve_authz, serve_demo_api, serve_dns, serve_est, serve_radius
from dnsbound.cli.options import example

app = typer.Typer(
    help="Serve DNS from the inventory, enrolment, network access, other servers' questions, or a small API.",
    no_args_is_help=True,
)

app.command(
    "authz",
    epilog=example("dnsbound serve authz --config authz.toml", "dnsbound serve authz --config authz.toml --check"),
)(serve_authz.serve_authz)
app.command("demo-api", epilog=example("dnsbound serve demo-api --allow car54._device.cars.example --ca-out ca.pem"))(
    serve_demo_api.demo_api
)
app.command("dns", epilog=example("dnsbound serve dns --port 5300", "dnsbound serve dns --host 192.0.2.53 --port 53"))(
    serve_dns.serve_dns
)
app.command("est", epilog=example("dnsbound serve est --credential est.pem --host 192.0.2.8 --port 443"))(
    serve_est.serve_est
)
app.command("radius", epilog=example("dnsbound serve radius radius.toml", "dnsbound serve radius radius.toml --check"))(
    serve_radius.serve_radius
)
