"""DNS record data as values, one file per record type, wire and presentation form as mirror images."""
