"""The verbs of `orchard`, one module each, and thin: what they do is in the packages they call."""
