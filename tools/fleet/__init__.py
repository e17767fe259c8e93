"""Several nodes as one: pools of nodes, which tenants live where, and the front that knows."""
