"""What a call through the service is measured beside: the same stack without a check, and another package's check."""
