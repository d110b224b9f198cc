"""Decoders of raw heads, one module for each kind of object."""
