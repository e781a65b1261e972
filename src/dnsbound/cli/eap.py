"""`dnsbound eap`: does a RADIUS server let this device in by EAP-TLS, and what does it say."""

from pathlib import Path
from typing import Annotated

import typer

from dnsbound.cli.eap_output import Telling
from dnsbound.cli.eap_trials import Belief, TrialRun
from dnsbound.cli.opened import opened_resolver
from dnsbound.cli.options import AnchorsOption, JsonOption, ResolverOption, TimeoutOption, example
from dnsbound.cli.radius_hop import Hop, HopTransport
from dnsbound.errors import Misuse

app = typer.Typer(help="EAP-TLS as a device speaks it: a health check of any RADIUS server.", no_args_is_help=True)


@app.command(
    "test",
    epilog=example(
        "dnsbound eap test --server 192.0.2.1 --secret-file ap.secret --credential car54.pem "
        "--server-tlsa radius.isp.example --ssid public",
        "… --ca isp-ca.pem --server-name radius.isp.example --tls 1.2 --json",
        "… --radsec --hop-credential ap1.pem --hop-name radius.isp.example --hop-tlsa",
    ),
)
def try_login(
    *,
    server: Annotated[str, typer.Option("--server", metavar="HOST[:PORT]", help="The RADIUS server.")],
    credential: Annotated[
        Path, typer.Option("--credential", help="PEM file with the device's key and certificates.", dir_okay=False)
    ],
    secret_file: Annotated[
        Path | None,
        typer.Option("--secret-file", help="File with the secret shared over UDP (mode 0600).", dir_okay=False),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name to state where the certificate shows none.", show_default=False)
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Present the bare key (RFC 7250).")] = False,
    tls: Annotated[str, typer.Option("--tls", help="Version to speak: 1.3, or 1.2, which shows the name.")] = "1.3",
    identity: Annotated[
        str | None, typer.Option("--identity", help="What is said in clear.", show_default="@ and the name's realm")
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option("--ca", help="PEM file of authorities that vouch for the EAP-TLS server.", dir_okay=False),
    ] = None,
    server_name: Annotated[
        str | None, typer.Option("--server-name", help="With --ca: the name its certificate must show.")
    ] = None,
    server_tlsa: Annotated[
        str | None,
        typer.Option("--server-tlsa", metavar="NAME", help="Believe it by TLSA records of NAME, looked up now."),
    ] = None,
    server_chain: Annotated[
        str | None,
        typer.Option("--server-chain", metavar="NAME", help="The same, as it shows them itself (RFC 9102)."),
    ] = None,
    danger_unverified_server: Annotated[
        bool, typer.Option("--danger-unverified-server", help="Believe any EAP-TLS server.")
    ] = False,
    ssid: Annotated[str, typer.Option("--ssid", help="Network name, in Called-Station-Id.")] = "",
    nas_identifier: Annotated[str, typer.Option("--nas-identifier", help="Name of the access point.")] = "dnsbound",
    calling_station: Annotated[
        str, typer.Option("--calling-station", help="Address of the device.")
    ] = "02-00-00-00-00-02",
    radsec: Annotated[bool, typer.Option("--radsec", help="Reach the RADIUS server over TLS.")] = False,
    dtls: Annotated[bool, typer.Option("--dtls", help="Reach the RADIUS server over DTLS.")] = False,
    hop_credential: Annotated[
        Path | None,
        typer.Option("--hop-credential", help="Key and certificates of the access point.", dir_okay=False),
    ] = None,
    hop_name: Annotated[str | None, typer.Option("--hop-name", help="Name of the RADIUS server in TLS.")] = None,
    hop_ca: Annotated[
        Path | None, typer.Option("--hop-ca", help="Authorities that vouch for the RADIUS server.", dir_okay=False)
    ] = None,
    hop_tlsa: Annotated[bool, typer.Option("--hop-tlsa", help="Believe it by the TLSA records of its name.")] = False,
    hop_pin: Annotated[
        str | None, typer.Option("--hop-pin", metavar="SHA256", help="Believe it by the digest of its key, in hex.")
    ] = None,
    repeat: Annotated[int, typer.Option("--repeat", min=1, max=100_000, help="How often, one after the other.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the session of the time before.")] = False,
    fragment: Annotated[
        int | None, typer.Option("--fragment", help="Octets of an EAP packet at most.", show_default="1024")
    ] = None,
    timeout: TimeoutOption = 10.0,
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Log in by EAP-TLS over RADIUS, as access point and device in one, and say how it went.

    Exit codes: 0 admitted, 1 refused (by either end), 3 no answer, undecided, or a protocol was broken.
    """
    from dnsbound.edge.credential_files import load_credential
    from dnsbound.edge.eap_client import AsNas
    from dnsbound.edge.eap_tls_client import EapTlsVersion, eap_client_context
    from dnsbound.protocols.nai import anonymous_identity

    if tls not in tuple(EapTlsVersion):
        raise Misuse(f"--tls is 1.2 or 1.3, not {tls!r}")
    if resume and (server_tlsa or server_chain):
        raise Misuse("--resume: a server believed by TLSA is believed anew each time, so no session is resumed")
    own = load_credential(credential, name=name)
    hop = Hop(
        server=server,
        transport=HopTransport.of(radsec=radsec, dtls=dtls),
        secret_file=secret_file,
        credential=hop_credential,
        name=hop_name,
        authorities=hop_ca,
        by_tlsa=hop_tlsa,
        pin=hop_pin,
    )
    if own.name is None:
        raise Misuse(f"{credential} shows no name: --name says it")
    belief = Belief(
        ca=ca, name=server_name, tlsa=server_tlsa, chain=server_chain, danger_unverified=danger_unverified_server
    )
    with opened_resolver(resolver, anchors) as asked:
        trust = belief.trust(asked, anchors)
        run = TrialRun(
            hop=hop,
            resolver=asked,
            context=eap_client_context(own, trust, tls=EapTlsVersion(tls), raw_public_key=True if raw else None),
            belief=belief,
            trust=trust,
            nas=AsNas(ssid=ssid, nas_identifier=nas_identifier, calling_station=calling_station),
            identity=anonymous_identity(own.name) if identity is None else identity.encode(),
            fragment=fragment,
            resume=resume,
            seconds=timeout,
        )
        telling = Telling(as_json=as_json, alone=repeat == 1)
        run.run(repeat, telling.tell)
    raise typer.Exit(telling.end())
