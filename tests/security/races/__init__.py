"""Races on PostgreSQL between real processes: what holds for one act after the other holds for two at once."""
