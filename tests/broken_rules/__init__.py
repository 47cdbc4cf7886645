"""Rules broken on purpose, one at a time, in a copy of the tree: for each a test has to fail."""
