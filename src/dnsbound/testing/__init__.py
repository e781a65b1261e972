"""A signed miniature Internet in one process, for this package's tests and for yours."""
