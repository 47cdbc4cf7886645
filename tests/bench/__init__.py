"""How quick and how big the long jobs are: `make bench`, which is no test and asserts nothing about time.

A module in here that defines `measure(scale)` is a bench. Each runs in a process and a database of its own.
"""
