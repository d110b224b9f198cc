"""One client: its connection, its session, and the processing of a frame from the slot to the result."""
