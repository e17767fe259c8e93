"""Eviction policies, for the node and for the planner. Pure: no I/O and no clock."""
