"""What `manage.py doctor` looks at: the deployment, and what is assumed of Flowlu on a real portal."""
