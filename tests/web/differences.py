"""What other browsers lack or do otherwise, as scripts that run in Chromium before those of the page.

Each script is one difference. A profile has those of one browser, read from what its engine's makers publish.
"""

from __future__ import annotations

from dataclasses import dataclass

NO_WEBRTC = "delete window.RTCPeerConnection;"
NO_SCREEN_SHARING = "delete MediaDevices.prototype.getDisplayMedia;"
NO_CAPTURE_STREAM = "delete HTMLCanvasElement.prototype.captureStream;"
NO_ROUND_RECT = "delete CanvasRenderingContext2D.prototype.roundRect;"
NO_ABORT_TIMEOUT = "delete AbortSignal.timeout;"
NO_FRAME_CALLBACK = "delete HTMLVideoElement.prototype.requestVideoFrameCallback;"
NO_WAKE_LOCK = "delete Navigator.prototype.wakeLock;"
NO_FULL_SCREEN = """
  delete Element.prototype.requestFullscreen;
  Object.defineProperty(Document.prototype, "fullscreenEnabled", { get: () => undefined });
"""
NO_MEDIA_DEVICES = "Object.defineProperty(Navigator.prototype, 'mediaDevices', { get: () => undefined });"
STORAGE_IS_NULL = """
  for (const name of ["localStorage", "sessionStorage"]) Object.defineProperty(window, name, { value: null });
"""
STORAGE_THROWS = """
  for (const name of ["localStorage", "sessionStorage"]) {
    Object.defineProperty(window, name, { get() { throw new DOMException("denied", "SecurityError"); } });
  }
"""
BLANK_CANVAS = """
  const encode = HTMLCanvasElement.prototype.toBlob;
  HTMLCanvasElement.prototype.toBlob = function (callback, ...options) {
    const blank = Object.assign(document.createElement("canvas"), { width: this.width, height: this.height });
    encode.call(blank, callback, ...options);
  };
"""
"""As protection against fingerprinting makes it."""

NO_CAPTURE_TIMES = """
  {
    const { requestVideoFrameCallback } = HTMLVideoElement.prototype;
    HTMLVideoElement.prototype.requestVideoFrameCallback = function (callback) {
      return requestVideoFrameCallback.call(this, (now, metadata) => {
        const { captureTime, receiveTime, rtpTimestamp, ...rest } = metadata;
        callback(now, rest);
      });
    };
  }
"""

CAMERAS_NAMED_WHERE_ONE_IS_OPEN = """
  {
    const { getUserMedia, enumerateDevices } = MediaDevices.prototype;
    let allowed = false;
    MediaDevices.prototype.getUserMedia = async function (wish) {
      const stream = await getUserMedia.call(this, wish);
      allowed = true;
      return stream;
    };
    MediaDevices.prototype.enumerateDevices = async function () {
      const devices = await enumerateDevices.call(this);
      return allowed ? devices : [{ kind: "videoinput", deviceId: "", label: "", groupId: "" }];
    };
  }
"""
"""In that very document, and in no other: Firefox and Safari."""

FRONT_AND_BACK = """
  {
    const { getUserMedia } = MediaDevices.prototype;
    let facing = "user";
    MediaDevices.prototype.getUserMedia = async function (wish) {
      const stream = await getUserMedia.call(this, wish);
      facing = wish.video.facingMode?.ideal ?? "user";
      return stream;
    };
    const { getSettings } = MediaStreamTrack.prototype;
    MediaStreamTrack.prototype.getSettings = function () {
      return { ...getSettings.call(this), facingMode: facing };
    };
  }
"""
"""A phone's cameras. Which one is open is told by its settings; the front one comes unasked."""

PLAYS_AFTER_A_TAP = """
  {
    let tapped = false;
    addEventListener("click", () => { tapped = true; }, true);
    const { play } = HTMLMediaElement.prototype;
    HTMLMediaElement.prototype.play = function () {
      return tapped ? play.call(this) : Promise.reject(new DOMException("gesture", "NotAllowedError"));
    };
    addEventListener("DOMContentLoaded", () => document.querySelector("video")?.removeAttribute("autoplay"));
  }
"""
"""In this document: an iPhone in Low Power Mode, or a browser that is told to."""

KEEPS_AN_ABSENT_FRAMERATE = """
  {
    const { setParameters } = RTCRtpSender.prototype;
    let last;
    RTCRtpSender.prototype.setParameters = function (parameters) {
      for (const encoding of parameters.encodings) {
        if (encoding.maxFramerate === undefined && last !== undefined) encoding.maxFramerate = last;
        last = encoding.maxFramerate;
      }
      return setParameters.call(this, parameters);
    };
  }
"""
"""WebKit takes a ``maxFramerate`` that is not there for the one of before."""

MUTABLE_TRACKS = """
  window.muteCamera = (muted) => {
    window.muted = muted;
    const [track] = document.querySelector("#video").srcObject.getVideoTracks();
    track.dispatchEvent(new Event(muted ? "mute" : "unmute"));
  };
  Object.defineProperty(MediaStreamTrack.prototype, "muted", { get: () => window.muted === true });
"""
"""``muteCamera(true)`` does what iOS does during a call, but for the black pictures."""


def statistics_without(condition: str) -> str:
    """A script that takes the entries and fields for which ``condition`` holds out of all statistics."""
    return f"""
      const getStats = RTCPeerConnection.prototype.getStats;
      RTCPeerConnection.prototype.getStats = async function (...given) {{
        const report = await getStats.apply(this, given);
        return new Map([...report].map(([id, entry]) => [id, Object.fromEntries(
          Object.entries(entry).filter(([field]) => !(({condition})(entry.type, field))))]));
      }};
    """


@dataclass(frozen=True, slots=True)
class Profile:
    """A browser: what its scripts take away, the window that it has, and the way that its pictures go."""

    lacks: tuple[str, ...]
    width: int = 1280
    height: int = 800
    transport: str = "WebRTC"


_PHONE = (390, 844)
_IPHONE = (
    NO_SCREEN_SHARING,
    NO_FULL_SCREEN,
    CAMERAS_NAMED_WHERE_ONE_IS_OPEN,
    FRONT_AND_BACK,
    KEEPS_AN_ABSENT_FRAMERATE,
    NO_CAPTURE_TIMES,
    MUTABLE_TRACKS,
)

PROFILES = {
    "firefox": Profile(
        (
            CAMERAS_NAMED_WHERE_ONE_IS_OPEN,
            NO_CAPTURE_TIMES,
            statistics_without("(type) => type === 'transport'"),
        )
    ),
    "iphone": Profile(_IPHONE, *_PHONE),
    "iphone_old": Profile(
        (*_IPHONE, NO_ROUND_RECT, NO_ABORT_TIMEOUT, NO_FRAME_CALLBACK, NO_WAKE_LOCK), *_PHONE
    ),
    "android": Profile((NO_SCREEN_SHARING, FRONT_AND_BACK), width=412, height=915),
    "in_app": Profile(
        (NO_WEBRTC, NO_SCREEN_SHARING, NO_FULL_SCREEN, NO_WAKE_LOCK, STORAGE_IS_NULL),
        *_PHONE,
        transport="JPEG",
    ),
    "locked_down": Profile((NO_WEBRTC, STORAGE_THROWS, NO_WAKE_LOCK), transport="JPEG"),
}
