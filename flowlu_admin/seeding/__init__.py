"""A made-up world of any size for trials and measurements: `manage.py seed`.

Rows are written past the verbs, batch by batch, because a million launches through the verbs would take days. What the
verbs would have left is kept true all the same: constraints, liveness by its own rules, sealed values under the
configured keys, and a chained audit trail. `build` has the order; one module has each kind of thing.
"""
