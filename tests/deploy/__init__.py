"""What is in deploy/: the image's files under gunicorn, behind nginx, with the configuration that is deployed."""
