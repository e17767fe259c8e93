"""Who may call which tenant, and how much: files that the front and the sidecar both go by."""
