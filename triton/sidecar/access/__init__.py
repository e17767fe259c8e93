"""Who may call, and how much: what nginx checks for HTTP, checked here for gRPC; and the admin port's token."""
