"""What `manage.py restore_drill` does: a backup is restored into a scratch database, migrated and looked through.

`scratch` makes that database and drops it. `inspection` looks at it in a process of its own (`python -m
flowlu_admin.restoring`), whose only database it is: what the command runs in never has the service's own open, and what
looks cannot reach it (docs/adr/0045).
"""
