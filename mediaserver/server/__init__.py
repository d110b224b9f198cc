"""The process that serves: HTTP, readiness, workers, and its life under systemd."""
