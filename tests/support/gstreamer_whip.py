"""A WHIP publisher on GStreamer's webrtcbin. For the system's own Python, which has GStreamer's bindings:

    /usr/bin/python3 gstreamer_whip.py URL PIPELINE

Publishes what PIPELINE gives (RTP, to be linked to webrtcbin), candidates by PATCH, until its standard input
ends; then ends the session by DELETE, and prints the status of each request.
"""

import sys
import threading
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402


def request(method, url, body=None, **headers):
    asked = urllib.request.Request(url, body and body.encode(), headers, method=method)
    with urllib.request.urlopen(asked, timeout=10) as response:
        print(method, response.status, flush=True)
        return response.headers, response.read().decode()


class Publisher:
    def __init__(self, url, pipeline):
        self.url = url
        self.resource = self.entity_tag = None
        self.waiting = []
        self.pipeline = Gst.parse_launch(f"{pipeline} ! webrtcbin name=peer bundle-policy=max-bundle")
        self.peer = self.pipeline.get_by_name("peer")
        self.peer.connect("on-negotiation-needed", self.offer)
        self.peer.connect("on-ice-candidate", self.gather)
        self.pipeline.set_state(Gst.State.PLAYING)

    def offer(self, peer):
        peer.emit("create-offer", None, Gst.Promise.new_with_change_func(self.post))

    def post(self, promise):
        reply = promise.get_reply()  # it owns the offer
        offer = reply.get_value("offer")
        self.peer.emit("set-local-description", offer, None)
        headers = {"Content-Type": "application/sdp"}
        sent, text = request("POST", self.url, offer.sdp.as_text(), **headers)
        self.resource = urllib.request.urljoin(self.url, sent["Location"])
        self.entity_tag = sent["ETag"]
        _, answer = GstSdp.SDPMessage.new_from_text(text)
        kind = GstWebRTC.WebRTCSDPType.ANSWER
        self.peer.emit("set-remote-description", GstWebRTC.WebRTCSessionDescription.new(kind, answer), None)
        GLib.timeout_add(100, self.trickle)

    def gather(self, peer, index, candidate):
        self.waiting.append(candidate)

    def trickle(self):
        gathered, self.waiting = self.waiting, []
        if gathered:
            lines = ["m=video 9 UDP/TLS/RTP/SAVPF 0", "a=mid:video0", *(f"a={each}" for each in gathered), ""]
            headers = {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": self.entity_tag}
            request("PATCH", self.resource, "\r\n".join(lines), **headers)
        return True

    def stop(self):
        if self.resource is not None:
            request("DELETE", self.resource)
        self.pipeline.set_state(Gst.State.NULL)


def main(url, pipeline):
    Gst.init(None)
    publisher, loop = Publisher(url, pipeline), GLib.MainLoop()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    loop.run()
    publisher.stop()


main(*sys.argv[1:])
