"""What runs the models: the contract, and an engine in this process and in NVIDIA Triton."""
