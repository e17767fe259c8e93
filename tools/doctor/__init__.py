"""What is wrong with a node, in plain words: facts are gathered in one place and judged in another."""
