"""From a claim to a verified peer: claim, access list, engine, live sessions, decision events. No input or output."""
