"""The functions on a laptop: moto for AWS, a clock that can be moved, a local HTTP API. Needs moto; never
part of what is deployed."""
