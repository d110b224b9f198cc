"""Hostile input for every parser: `targets`, replayed by `test_replay`, searched further by ``make fuzz``."""
