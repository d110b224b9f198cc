"""Engines, which run the models: the contract, an engine in this process, and a client of NVIDIA Triton."""
