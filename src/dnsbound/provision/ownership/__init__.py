"""Who a name belongs to, and who may speak for it: leases, transfers, authorities, and names that are blocked."""
