"""A drawn world of people, vehicles, animals and signs, with its ground truth.

Coordinates are pixels of a 640×480 picture, x to the right and y down, whatever size is drawn.
"""
