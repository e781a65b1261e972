"""Postfix: its policy protocol tells the verify service digests of a client's key and certificate, and its EHLO name.

Seen with 3.7.11: any certificate is taken, whatever its dates and purposes; records of usage 3 match by digest. The
name is the one in EHLO, which Postfix writes into its Received field.
"""

import re
from typing import Final

from dnsbound.adapters.fronts import quoting
from dnsbound.adapters.fronts.snippet import ConfigFile, Facts, OverUnix, Settings, Snippet, Version, heading
from dnsbound.errors import Misuse

FACTS: Final = Facts(
    server="postfix",
    title="Postfix",
    program="postconf",
    version_arguments=("-d", "-h", "mail_version"),
    version_pattern=re.compile(r"^(\d+\.\d+(?:\.\d+)?)"),
    least=Version((3, 4, 0)),
    tried=Version((3, 7, 11)),
    protocol="postfix",
    claim_from="stated",
    front_options=('use = "require"',),
    admits='"mx1.cars.example"',
    users=("postfix",),
    tcp=False,
    listen=":25",
    works=("every certificate, expired ones too", "TLS 1.2, TLS 1.3"),
    limits=(
        "records of usage 2, and of SHA-512, since Postfix tells two digests of SHA-256 alone",
        "clients that say EHLO with another name than their own",
        "raw public keys",
    ),
)

_MAIN: Final = """\
# These lines belong at the end of main.cf, which can include no other file.

smtpd_tls_chain_files =
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
smtpd_tls_security_level = may
# The client's certificate is asked for, and nothing more: with smtpd_tls_req_ccert, or with a CA that has to have
# signed it, certificates that Postfix does not trust would be dropped before the verify service is asked.
smtpd_tls_ask_ccert = yes
smtpd_tls_req_ccert = no
smtpd_tls_ccert_verifydepth = 9
# The digest that records 3 1 1 and 3 0 1 hold. Of MD5, which is older releases' own choice, nothing could be matched.
smtpd_tls_fingerprint_digest = sha256
# A session that is not resumed cannot outlive a record.
smtpd_tls_session_cache_database =
tls_ssl_options = NO_TICKET
# The name that the client claims is the one in EHLO; underscores in it are no fault to Postfix.
smtpd_helo_required = yes
# Who is not known by name sends no mail here, wherever it is for. Nothing may stand before the question that permits:
# neither permit_mynetworks nor permit_sasl_authenticated, unless those need no name.
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions = check_policy_service unix:{socket}, reject_unauth_destination
smtpd_delay_reject = yes
smtpd_policy_service_timeout = 10s
# The answer while the verify service is down: come again later.
smtpd_policy_service_default_action = 451 4.3.5 Client identity cannot be checked now
# What Postfix writes of a client is in the first Received field of a message: `from` and its name. Fields below that,
# and any Dnsbound-Name, are the client's own words; these are removed.
header_checks = regexp:{checks}
"""
_CHECKS: Final = """\
# Fields in which a client could say who it is, in any spelling.
/^dnsbound[^:]*:/ IGNORE
"""
_MASTER: Final = """\
# This line belongs into master.cf, in the place of the one for smtp. The fifth column is n: in its chroot, smtpd would
# not see the socket of the verify service. Two masters on one port answer by turns: stop the one before it.
{listen} inet n - n - - smtpd
"""


def files(settings: Settings) -> tuple[ConfigFile, ...]:
    """Lines for main.cf and for master.cf, and the header checks. Misuse over TCP: the protocol has no place for a
    secret."""
    if not isinstance(settings.verifier, OverUnix):
        raise Misuse("Postfix cannot show a secret: it asks over a Unix socket alone")
    checks = settings.directory / f"dnsbound-{settings.label}.checks"
    text = _MAIN.format(
        key=quoting.word(str(settings.key), "the key"),
        certificate=quoting.word(str(settings.certificate), "the certificate"),
        socket=quoting.word(str(settings.verifier.path), "the socket"),
        checks=quoting.word(str(checks), "the directory"),
    )
    listen = settings.listen.to_text() if settings.listen.host else str(settings.listen.port)
    main, master = f"dnsbound-{settings.label}.main.cf", f"dnsbound-{settings.label}.master.cf"
    return (
        ConfigFile(name=main, text=heading(FACTS, settings) + text, place=f"/etc/postfix/{main}"),
        ConfigFile(name=master, text=_MASTER.format(listen=listen), place=f"/etc/postfix/{master}"),
        ConfigFile(name=checks.name, text=_CHECKS, place=str(checks)),
    )


SNIPPET: Final = Snippet(facts=FACTS, files=files)
