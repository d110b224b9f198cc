"""All uses of private names of aiortc and aioice in this project.

aiortc has no settings for these changes. So its version is pinned, and each name is checked before its use.
If a name is missing, `mediaserver.webrtc.aiortc_seam.names.SeamMoved` is raised.
"""
