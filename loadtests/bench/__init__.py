"""Measures a node beside Triton alone, in one run, and holds the figures against their targets."""
