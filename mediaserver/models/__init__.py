"""Model files: where they come from, which are used, what they become for Triton."""
