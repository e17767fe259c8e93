"""What can be seen of a node: metrics, events, logs, request ids, traces, the status page."""
