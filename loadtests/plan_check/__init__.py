"""`orchard plan` held against a real node: the same calls, foretold by replay and then made."""
