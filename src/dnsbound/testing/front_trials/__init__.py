"""Trials of other people's servers with the configuration that `dnsbound config` prints, on this machine's loopback.

`Stage` is what stands around the server: a World, the verify service, a back end, identities. `trials` lists what can
be tried, `http_trial` and `tcp_trial` what is tried of each kind of server; `dnsbound config SERVER --check` tells it.
"""
