"""Work of the inventory that time or other servers move on, done in turns by `dnsbound run`."""
