"""The trail as a whole: verified, anchored, exported, pruned."""
