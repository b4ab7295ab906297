"""What `manage.py bench` is made of: prepare, load, count, tell. See `docs/performance.md`."""
