"""What is done with the audit trail as a whole: read, verify, anchor, export, prune, and note who was refused."""
