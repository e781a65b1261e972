"""Input and output: resolver, Context, event loop, listeners, clocks."""
