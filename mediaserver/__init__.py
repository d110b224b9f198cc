"""The server process and its Python client."""
