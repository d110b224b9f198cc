"""Reading text: when it is worth it, where the lines are, what they say."""
