"""A world that is drawn, not photographed: people, vehicles, animals and signs, and the truth about them.

Coordinates are pixels of a picture of 640×480, x to the right and y down, whatever size is drawn.
"""
