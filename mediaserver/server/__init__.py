"""The server process: HTTP, readiness, workers, and integration with systemd."""
