// Calls of a browser with the server, one after another or on one peer connection; each returns what came of it.
// As a whole it is the expression of an object with the calls.
(() => {
  const camera = () => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 320, height: 240 });
    const context = canvas.getContext("2d");
    let count = 0;
    setInterval(() => {
      context.fillStyle = `hsl(${count++ % 360} 80% 50%)`;
      context.fillRect(0, 0, canvas.width, canvas.height);
    }, 33);
    return canvas.captureStream(30).getVideoTracks()[0];
  };
  const withoutBundle = (sdp) => sdp.replace(/a=group:BUNDLE.*\r\n/, "");

  class Call {
    results = 0;
    said = [];

    constructor(url, configuration = {}) {
      this.peer = new RTCPeerConnection(configuration);
      this.channel = this.peer.createDataChannel("results", { ordered: false, maxRetransmits: 0 });
      this.channel.onmessage = () => this.results++;
      this.socket = new WebSocket(url);
      this.peer.onicecandidate = ({ candidate }) => this.send({ type: "candidate", candidate });
    }

    send(message) {
      if (this.answered) this.socket.send(JSON.stringify(message));
      else (this.waiting ??= []).push(message);
    }

    async open() {
      await new Promise((resolve, reject) => ((this.socket.onopen = resolve), (this.socket.onerror = reject)));
      this.socket.send(JSON.stringify({ type: "hello", channel: "datachannel" }));
      this.socket.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        if (message.type === "answer") this.take(message.sdp);
        else if (message.type === "result") this.results++;
        else if (message.type === "error" || message.type === "closing") {
          this.said.push(message);
          this.refuse?.(new Error(message.message ?? message.reason));
        }
      };
    }

    /** Offers what the peer connection has, and returns when the answer is in use. */
    async offer(change = (sdp) => sdp) {
      this.answered = false;
      await this.peer.setLocalDescription();
      const answer = new Promise((resolve, reject) => ((this.take = resolve), (this.refuse = reject)));
      this.socket.send(JSON.stringify({ type: "offer", sdp: change(this.peer.localDescription.sdp) }));
      await this.peer.setRemoteDescription({ type: "answer", sdp: await answer });
      this.answered = true;
      for (const message of this.waiting ?? []) this.send(message);
      this.waiting = [];
    }

    /** Waits for so many more results. */
    async more(count, timeoutMs = 20000) {
      const wanted = this.results + count, until = Date.now() + timeoutMs;
      while (this.results < wanted && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 50));
      return this.results >= wanted;
    }

    async close() {
      this.socket.send(JSON.stringify({ type: "bye" }));
      this.peer.close();
    }

    outcome(arrived) {
      return {
        arrived,
        said: this.said,
        state: this.peer.connectionState,
        directions: this.peer.getTransceivers().map((each) => each.currentDirection),
      };
    }
  }

  /** A call with sound and the other's picture, whose camera is analysed, too. */
  async function call(url, { bundle, policy }) {
    const it = new Call(url, { bundlePolicy: policy });
    it.peer.addTransceiver("audio");
    it.peer.addTransceiver("video", { direction: "recvonly" });
    it.peer.addTransceiver(camera(), { direction: "sendonly" });
    await it.open();
    await it.offer(bundle ? undefined : withoutBundle);
    const outcome = it.outcome(await it.more(20));
    await it.close();
    return outcome;
  }

  /** The camera is stopped and another one added, on one peer connection. */
  async function replaced(url) {
    const it = new Call(url);
    const first = it.peer.addTransceiver(camera(), { direction: "sendonly" });
    await it.open();
    await it.offer();
    const before = await it.more(20);
    first.stop();
    await it.peer.setLocalDescription();
    await it.peer.setLocalDescription({ type: "rollback" });
    it.peer.addTransceiver("audio");
    it.peer.addTransceiver(camera(), { direction: "sendonly" });
    const stopped = await it.offer((sdp) => ((it.sdp = sdp), sdp)).then(() => /^m=video 0 /m.test(it.sdp));
    const again = it.outcome(await it.more(20));
    await it.close();
    return { before, stopped, ...again };
  }

  /** H.264 alone, in one profile; null where the browser does not have it. */
  async function h264(url, { profile }) {
    const it = new Call(url);
    const transceiver = it.peer.addTransceiver(camera(), { direction: "sendonly" });
    const codecs = RTCRtpSender.getCapabilities("video").codecs.filter(
      ({ mimeType, sdpFmtpLine }) => mimeType === "video/H264" && sdpFmtpLine.includes(profile),
    );
    if (codecs.length === 0) return null;
    transceiver.setCodecPreferences(codecs);
    await it.open();
    await it.offer();
    const outcome = it.outcome(await it.more(20));
    await it.close();
    return outcome;
  }

  return { call, replaced, h264 };
})();
