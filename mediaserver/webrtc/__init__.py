"""WebRTC on aiortc: ICE, reception, assembly and decoding of video."""
