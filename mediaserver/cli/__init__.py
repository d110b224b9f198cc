"""The command line: `main` with its table of verbs, and one module a verb."""
