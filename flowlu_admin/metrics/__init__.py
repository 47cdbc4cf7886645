"""What Prometheus reads at /metrics: all from the database, so that each process answers the same (docs/adr/0044)."""
