"""Faults of what stands around the service, each of a real part: what is answered meanwhile, and what is left after."""
