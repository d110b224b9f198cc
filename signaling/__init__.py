"""The ``/ws/inference`` protocol: message types, negotiation without sockets, the aiohttp adapter."""
