"""Decides which tenants are in Triton's memory, and serves the requests that find theirs is not."""
