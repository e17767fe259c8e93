"""The store of bundles: versions of each tenant, and the pointer that says which one is live."""
