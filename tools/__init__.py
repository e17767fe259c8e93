"""Everything that is done before a request arrives: compile, publish, plan, start a node."""
