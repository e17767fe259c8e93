"""Capacity planned before it is bought: traffic and sizes in; hit ratios, nodes and costs out."""
