"""The sandbox portal, over real HTTP."""
