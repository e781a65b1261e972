"""`dnsbound gate server`: TLS with client authentication by DNS name before any TCP service, until Ctrl-C or SIGTERM.
`dnsbound gate client`: the other direction, for any local program.

In the manner of ghostunnel, whose names its options have where they mean the same. SIGHUP reads everything again.
"""

from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from dnsbound.cli.options import AnchorsOption, CheckOption, JsonOption, ResolverOption, example

app = typer.Typer(
    help="Stand before a TCP service and admit clients by DNS name, or let local programs speak as one.",
    no_args_is_help=True,
)

_Seconds: TypeAlias = str | None
_ConfigOption: TypeAlias = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="A gate.toml, in place of the options.")
]
_CertOption: TypeAlias = Annotated[Path | None, typer.Option("--cert", help="The certificates alone, with --key.")]
_KeyOption: TypeAlias = Annotated[Path | None, typer.Option("--key", help="The private key alone, with --cert.")]
_StatusOption: TypeAlias = Annotated[
    str | None, typer.Option("--status", metavar="ADDRESS", help="Serve /_status and /_metrics on this machine.")
]
_CloseTimeoutOption: TypeAlias = Annotated[
    _Seconds, typer.Option("--close-timeout", help="Of silence, once one side has ended.", show_default="60s")
]
_LifetimeOption: TypeAlias = Annotated[
    _Seconds, typer.Option("--max-conn-lifetime", help="Of any connection.", show_default="none")
]
_ShutdownTimeoutOption: TypeAlias = Annotated[
    _Seconds, typer.Option("--shutdown-timeout", help="For connections to end by themselves.", show_default="5m")
]
_LISTEN = "Take connections there: ADDRESS:PORT or [ADDRESS]:PORT; may be repeated."


def server(
    *,
    config: _ConfigOption = None,
    listen: Annotated[list[str] | None, typer.Option("--listen", metavar="ADDRESS", help=_LISTEN)] = None,
    target: Annotated[
        str | None, typer.Option("--target", metavar="ADDRESS", help="The back end: unix:PATH or 127.0.0.1:PORT.")
    ] = None,
    credential: Annotated[
        Path | None, typer.Option("--credential", help="Key and certificates of this server, as PEM.")
    ] = None,
    cert: _CertOption = None,
    key: _KeyOption = None,
    allow_dns: Annotated[
        list[str] | None, typer.Option("--allow-dns", metavar="NAME", help="Who may come in; may be repeated.")
    ] = None,
    access: Annotated[Path | None, typer.Option("--access", help="An access list, with --door.")] = None,
    door: Annotated[str | None, typer.Option("--door", help="The door of the access list.")] = None,
    protocol: Annotated[str | None, typer.Option("--protocol", help="What is spoken: tcp, http, mqtt, ...")] = None,
    proxy_protocol: Annotated[bool, typer.Option("--proxy-protocol", help="As --proxy-protocol-mode conn.")] = False,
    proxy_protocol_mode: Annotated[
        str | None,
        typer.Option(
            "--proxy-protocol-mode", help="Tell the back end by PROXY v2: conn, tls (the name too), tls-full."
        ),
    ] = None,
    status: _StatusOption = None,
    connect_timeout: Annotated[
        _Seconds, typer.Option("--connect-timeout", help="For the back end to accept.", show_default="10s")
    ] = None,
    close_timeout: _CloseTimeoutOption = None,
    idle_timeout: Annotated[
        _Seconds, typer.Option("--idle-timeout", help="Of silence in both directions.", show_default="none")
    ] = None,
    max_conn_lifetime: _LifetimeOption = None,
    shutdown_timeout: _ShutdownTimeoutOption = None,
    timed_reload: Annotated[
        _Seconds, typer.Option("--timed-reload", help="Read everything again that often.", show_default="SIGHUP alone")
    ] = None,
    max_concurrent_conns: Annotated[
        int | None, typer.Option("--max-concurrent-conns", help="Connections at once.", show_default="20000")
    ] = None,
    danger_unsafe_target: Annotated[
        bool, typer.Option("--danger-unsafe-target", help="Let the target be another machine, in clear.")
    ] = False,
    check: CheckOption = False,
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Admit clients by DNS name over TLS, and pass their connections on to a service on this machine.

    One gate by options, or any number by a file. SIGHUP reads credentials, access list and file again; connections
    that are there stay. SIGTERM takes no more of them and waits for those that are there.
    """
    from dnsbound.cli.gate_options import Asked, gates_asked_for

    values: dict[str, Any] = {
        "listen": listen,
        "target": target,
        "credential": credential,
        "certificate": cert,
        "key": key,
        "allow_dns": allow_dns,
        "access": access,
        "door": door,
        "protocol": protocol,
        "proxy_protocol": proxy_protocol_mode or ("conn" if proxy_protocol else None),
        "status": status,
        "connect_seconds": connect_timeout,
        "close_seconds": close_timeout,
        "idle_seconds": idle_timeout,
        "lifetime_seconds": max_conn_lifetime,
        "shutdown_seconds": shutdown_timeout,
        "reload_seconds": timed_reload,
        "connections": max_concurrent_conns,
        "danger_unsafe_target": danger_unsafe_target or None,
    }
    asked: Asked = gates_asked_for(config, {name: value for name, value in values.items() if value is not None})
    if check:
        from dnsbound.cli.finding_output import tell_findings
        from dnsbound.cli.gate_checks import gate_findings

        raise typer.Exit(tell_findings(gate_findings(asked, resolver, anchors), as_json=as_json))
    from dnsbound.cli.gate_serving import Around, GateServing

    around = Around(resolver=resolver, anchors=anchors, as_json=as_json, access=asked.access, reread=asked.load)
    GateServing(asked.load(), around).run()


app.command(
    "server",
    epilog=example(
        "dnsbound gate server --config gate.toml",
        "dnsbound gate server --listen 0.0.0.0:8883 --target 127.0.0.1:1883 --credential server.pem "
        "--allow-dns car54._device.cars.example",
    ),
)(server)


def _client(
    *,
    config: _ConfigOption = None,
    listen: Annotated[
        list[str] | None,
        typer.Option("--listen", metavar="ADDRESS", help="For programs: unix:PATH or 127.0.0.1:PORT; may be repeated."),
    ] = None,
    target: Annotated[str | None, typer.Option("--target", metavar="HOST:PORT", help="The server.")] = None,
    credential: Annotated[
        str | None, typer.Option("--credential", help="Who to be: key and certificates as PEM, or a pkcs11: URI.")
    ] = None,
    cert: _CertOption = None,
    key: _KeyOption = None,
    name: Annotated[str | None, typer.Option("--name", help="The name to state, where no certificate has it.")] = None,
    users: Annotated[
        list[str] | None, typer.Option("--user", metavar="USER", help="Whose programs may use it; may be repeated.")
    ] = None,
    override_server_name: Annotated[
        str | None, typer.Option("--override-server-name", metavar="NAME", help="Whom the server has to be.")
    ] = None,
    server_auth: Annotated[
        str | None, typer.Option("--server-auth", help="How the server is known: tlsa or ca.", show_default="tlsa")
    ] = None,
    cacert: Annotated[Path | None, typer.Option("--cacert", help="Authorities in place of the system's.")] = None,
    protocol: Annotated[str | None, typer.Option("--protocol", help="What is spoken: tcp or http.")] = None,
    status: _StatusOption = None,
    connect_timeout: Annotated[
        _Seconds, typer.Option("--connect-timeout", help="For lookup, connection and TLS.", show_default="10s")
    ] = None,
    close_timeout: _CloseTimeoutOption = None,
    max_conn_lifetime: _LifetimeOption = None,
    shutdown_timeout: _ShutdownTimeoutOption = None,
    danger_unsafe_listen: Annotated[
        bool, typer.Option("--danger-unsafe-listen", help="Let other machines speak as this name, in clear.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Try the servers, say what is wrong, and end.")] = False,
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let any program of this machine speak as a DNS name, to a server that is known by its TLSA records.

    Programs speak in clear to a Unix socket or a loopback address; whoever reaches that is the name. The credential is
    read again when its file changes. SIGTERM takes no more connections and waits for those that are there.
    """
    from dnsbound.cli.gate_options import client_asked_for

    values: dict[str, Any] = {
        "listen": listen,
        "target": target,
        "credential": credential,
        "certificate": cert,
        "key": key,
        "name": name,
        "users": users,
        "server_name": override_server_name,
        "server_auth": server_auth,
        "cacert": cacert,
        "protocol": protocol,
        "status": status,
        "connect_seconds": connect_timeout,
        "close_seconds": close_timeout,
        "lifetime_seconds": max_conn_lifetime,
        "shutdown_seconds": shutdown_timeout,
        "danger_unsafe_listen": danger_unsafe_listen or None,
    }
    asked = client_asked_for(config, {name: value for name, value in values.items() if value is not None})
    if check:
        from dnsbound.cli.finding_output import tell_findings
        from dnsbound.cli.gate_client_checks import client_findings

        raise typer.Exit(tell_findings(client_findings(asked, resolver, anchors), as_json=as_json))
    from dnsbound.cli.gate_serving import Around, GateServing

    around = Around(resolver=resolver, anchors=anchors, as_json=as_json, access=None, reread=asked.load)
    GateServing(asked.load(), around).run()


app.command(
    "client",
    epilog=example(
        "dnsbound gate client --listen unix:/run/car/report.sock --target report.gov.example:8883 "
        "--credential car54.pem",
        "dnsbound gate client --listen 127.0.0.1:1883 --user car --target report.gov.example:8883 "
        "--credential car54.pem --check",
    ),
)(_client)
