"""The command line: `main`, and one module a verb."""
