"""An RTSP camera on GStreamer's server. For the system's own Python, which has GStreamer's bindings:

    /usr/bin/python3 rtsp_server.py PORT [USER PASSWORD]

Serves a red picture as H.264 at /camera until its standard input ends; prints a line when it listens.
"""

import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

CAMERA = (
    "( videotestsrc is-live=true pattern=red ! video/x-raw,width=320,height=240,framerate=30/1 ! "
    "videoconvert ! x264enc tune=zerolatency key-int-max=30 bitrate=500 ! rtph264pay name=pay0 pt=96 )"
)


def guard(server, factory, user, password):
    auth, token = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    allowed = GstRtspServer.RTSPPermissions()
    allowed.add_permission_for_role("viewer", "media.factory.access", True)
    allowed.add_permission_for_role("viewer", "media.factory.construct", True)
    factory.set_permissions(allowed)


def main(port, *credentials):
    Gst.init(None)
    server, factory, loop = GstRtspServer.RTSPServer(), GstRtspServer.RTSPMediaFactory(), GLib.MainLoop()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory.set_launch(CAMERA)
    factory.set_shared(True)
    factory.set_protocols(GstRtsp.RTSPLowerTrans.TCP)
    if credentials:
        guard(server, factory, *credentials)
    server.get_mount_points().add_factory("/camera", factory)
    server.attach(None)
    print("listening", flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    loop.run()


main(*sys.argv[1:])
