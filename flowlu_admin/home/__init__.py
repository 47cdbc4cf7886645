"""The first page of the console: what needs an operator now, and how the last weeks went, as far as each may see it."""
