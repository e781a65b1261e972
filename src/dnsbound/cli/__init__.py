"""The command line `dnsbound`. Commands are glue: read arguments, ask the floors below, print, choose the exit code."""

import sys


def main() -> None:
    """Entry point of the `dnsbound` program."""
    from dnsbound.cli.app import run

    sys.exit(run(sys.argv[1:]))
