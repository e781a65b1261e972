"""Object security: what a name signs and what is encrypted to it, in the forms of others (JOSE, COSE, CMS, HTTP
message signatures, SSHSIG), with keys looked up in the DNS.

A carrier beside `dnsbound.tls`: it parses and makes octets, and asks the engine (`dnsbound.verify`) whose they are. No
input, no output, no clock. What looks names up and keeps what was received is in `dnsbound.edge`.
"""
