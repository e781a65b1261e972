"""The TLS carrier without input and output: the native engine in the shape Python's `ssl` users expect."""
