"""Exim: an ACL tells the verify service the digest of a certificate, in the words of Postfix's policy protocol.

Seen with 4.96 (GnuTLS): any certificate is taken, whatever its dates and purposes. Exim tells no digest of a key. The
name is the one in EHLO, and is written into the message.
"""

import re
from typing import Final

from dnsbound.adapters.fronts import quoting
from dnsbound.adapters.fronts.asking import IDENTITY, spellings
from dnsbound.adapters.fronts.snippet import ConfigFile, Facts, OverUnix, Settings, Snippet, Version, heading
from dnsbound.errors import Misuse
from dnsbound.protocols.identity_headers import NAME

FACTS: Final = Facts(
    server="exim",
    title="Exim",
    program="exim4",
    version_arguments=("-bV",),
    version_pattern=re.compile(r"Exim version (\d+\.\d+)"),
    least=Version((4, 96)),
    tried=Version((4, 96)),
    protocol="postfix",
    claim_from="stated",
    front_options=('use = "require"',),
    admits='"mx1.cars.example"',
    users=("Debian-exim",),
    tcp=False,
    listen=":25",
    works=("every certificate, expired ones too", "the name in the message: Dnsbound-Name"),
    limits=(
        "records but 3 0 1: Exim tells one digest, of the certificate and by SHA-256",
        "clients that say EHLO with another name than their own",
        "raw public keys",
    ),
)

_MAIN: Final = """\
# Lines for the main section, at the beginning of Exim's configuration.

{listen}
tls_advertise_hosts = *
tls_certificate = {certificate}
tls_privatekey = {key}
# A certificate is asked for, and any is taken, because hosts are tried and not required. Without a file of some
# authority none would be asked for; whose it is does not matter.
tls_try_verify_hosts = *
tls_verify_hosts =
tls_verify_certificates = {certificate}
# EHLO with an underscore, as in car54._device.cars.example, is refused with 501 without this.
helo_allow_chars = _
"""
_ACL: Final = """\
# The first statements of the ACL that acl_smtp_rcpt names, before anything that accepts.
# Without a certificate its digest would be that of nothing, a constant; so there is none in the question then.
warn
  set acl_m_dnsbound = ${{readsocket{{{socket}}}{{request=smtpd_access_policy\\nprotocol_state=RCPT\\nhelo_name=$sender_helo_name\\nclient_address=$sender_host_address\\nccert_fingerprint=${{if def:tls_in_peercert{{${{sha256:$tls_in_peercert}}}}}}\\n\\n}}{{10s}}{{}}{{action=fail}}}}
deny
  message = 5.7.1 Client identity required
  condition = ${{if match{{$acl_m_dnsbound}}{{\\N^action=REJECT\\N}}}}
# Not found out, or the verify service is away: the client comes again.
defer
  message = 4.7.0 Client identity cannot be checked now
  condition = ${{if !match{{$acl_m_dnsbound}}{{\\N^action=DUNNO\\s*$\\N}}}}

# Whoever comes here was admitted. Fields of the client's own that could pass for ours go away.
warn
  remove_header = {forged}
  add_header = :at_start:{name}: ${{lc:$sender_helo_name}}
"""  # noqa: E501 (an expansion is one line here, so that nothing of it is lost)


def files(settings: Settings) -> tuple[ConfigFile, ...]:
    """Lines for the main section, and a statement for the ACL. Misuse over TCP: the protocol has no place for a
    secret."""
    if not isinstance(settings.verifier, OverUnix):
        raise Misuse("Exim cannot show a secret: it asks over a Unix socket alone")
    port, host = f"daemon_smtp_ports = {settings.listen.port}", settings.listen.host
    # A colon separates items of Exim's lists; doubled, it is one.
    interfaces = host.replace(":", "::")
    listen = f"{port}\nlocal_interfaces = {interfaces}" if host else port
    main, acl = f"dnsbound-{settings.label}.conf", f"dnsbound-{settings.label}.acl"
    text = _MAIN.format(
        listen=listen,
        certificate=quoting.word(str(settings.certificate), "the certificate"),
        key=quoting.word(str(settings.key), "the key"),
    )
    statement = _ACL.format(
        socket=quoting.word(str(settings.verifier.path), "the socket"),
        forged=" : ".join(spelling for field in IDENTITY for spelling in spellings(field)),
        name=NAME,
    )
    return (
        ConfigFile(name=main, text=heading(FACTS, settings) + text, place=f"/etc/exim4/{main}"),
        ConfigFile(name=acl, text=statement, place=f"/etc/exim4/{acl}"),
    )


SNIPPET: Final = Snippet(facts=FACTS, files=files)
