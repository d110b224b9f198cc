"""One client: its connection, its session, and the way of a frame from the slot to the result."""
