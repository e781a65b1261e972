"""`python -m dnsbound`: the command line."""

from dnsbound.cli import main

main()
