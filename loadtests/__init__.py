"""What drives load at a node: the demo's traffic, the benchmark, and one suite per promise."""
