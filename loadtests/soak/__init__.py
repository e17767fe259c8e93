"""A node put through everything at once for as long as one likes, and what it holds of the machine afterwards."""
