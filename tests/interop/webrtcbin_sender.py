"""Sends a test picture by GStreamer's ``webrtcbin``. Run by Debian's own Python, which has its bindings.

Speaks in lines of JSON: says ``offer``, ``candidate``, ``channel`` and ``error`` on stdout, and is told
``answer`` on stdin. Ends with its stdin.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

SOURCE = "videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=30/1"
ENCODERS = {
    "VP8": "vp8enc deadline=1 keyframe-max-dist=30 ! rtpvp8pay",
    "H264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=30 ! rtph264pay {payload}",
}


def say(**message: Any) -> None:
    print(json.dumps(message), flush=True)


class Sender:
    def __init__(self, codec: str, payload: str, bundle: str, loop: GLib.MainLoop) -> None:
        encoder = ENCODERS[codec].format(payload=payload)
        caps = f"application/x-rtp,media=video,encoding-name={codec},payload=96"
        self._pipeline = Gst.parse_launch(
            f"webrtcbin name=peer bundle-policy={bundle} {SOURCE} ! videoconvert ! {encoder} ! {caps} ! peer."
        )
        self._loop = loop
        self._peer = self._pipeline.get_by_name("peer")
        self._peer.connect("on-negotiation-needed", self._negotiate)
        self._peer.connect("on-ice-candidate", self._trickle)
        bus = self._pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", self._fail)
        self._pipeline.set_state(Gst.State.READY)
        self._channel = self._peer.emit("create-data-channel", "results", None)
        self._channel.connect("on-message-string", lambda _, text: say(type="channel", text=text))
        self._pipeline.set_state(Gst.State.PLAYING)

    def take(self, line: str) -> bool:
        """Sets the answer."""
        _, message = GstSdp.SDPMessage.new_from_text(json.loads(line)["sdp"])
        answer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, message)
        self._peer.emit("set-remote-description", answer, None)
        return False

    def stop(self) -> bool:
        self._pipeline.set_state(Gst.State.NULL)
        self._loop.quit()
        return False

    def _negotiate(self, peer: Gst.Element) -> None:
        peer.emit("create-offer", None, Gst.Promise.new_with_change_func(self._offer, None))

    def _offer(self, promise: Gst.Promise, _: None) -> None:
        reply = promise.get_reply()  # owns the offer
        offer = reply.get_value("offer")
        say(type="offer", sdp=offer.sdp.as_text())
        self._peer.emit("set-local-description", offer, None)

    def _trickle(self, _: Gst.Element, line: int, candidate: str) -> None:
        say(type="candidate", candidate={"candidate": candidate, "sdpMLineIndex": line})

    def _fail(self, _: Gst.Bus, message: Gst.Message) -> None:
        error, details = message.parse_error()
        say(type="error", message=f"{error.message} {details}")


def main() -> None:
    Gst.init(None)
    loop = GLib.MainLoop()
    codec, payload, bundle = sys.argv[1:]
    sender = Sender(codec, payload, bundle, loop)

    def read() -> None:
        for line in sys.stdin:
            GLib.idle_add(sender.take, line)
        GLib.idle_add(sender.stop)

    threading.Thread(target=read, daemon=True).start()
    loop.run()


main()
