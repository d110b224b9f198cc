/**
 * Alles, was die Seite sagt, auf Deutsch.
 *
 * @module
 */

import { FailureCode } from "../../shared/failure.js";
import { Transport } from "../../shared/transport.js";
import { deFailures } from "./de_failures.js";

/** @param {number} number @param {number} digits */
function decimal(number, digits) {
  return number.toFixed(digits).replace(".", ",");
}

/** Die häufigsten von COCO; die anderen heißen wie im Modell. @type {Record<string, string>} */
const GERMAN = { person: "Mensch", car: "Auto", bicycle: "Fahrrad", bus: "Bus", truck: "Lastwagen", dog: "Hund", cat: "Katze",
  chair: "Stuhl", cup: "Tasse", bottle: "Flasche", book: "Buch", laptop: "Laptop", "cell phone": "Telefon", tv: "Fernseher" };

const AGAIN = "Noch einmal versuchen";

/** @type {import("./en.js").Words} */
export const de = {
  language: "de",

  page: {
    title: "Mediaserver – Sehen in Echtzeit",
    picture: "Bild",
    comesBack: "Das gibt sich von selbst",
    keepAlive: "Anlassen",
    until: "bis",
    turnOff: "Ausschalten",
    invitation: "Sehen, was die Kamera sieht",
    promise: "Menschen, Dinge, Haltungen und Schrift, live gefunden. Bilder werden angesehen und vergessen, nichts wird gespeichert.",
    key: "Zugangsschlüssel",
    startCamera: "Kamera starten",
    playSample: "Beispiel abspielen",
    playFile: "Videodatei wählen",
    retry: "Jetzt versuchen",
    look: "Was angesehen wird",
    session: "Sitzung",
    start: "Start",
    source: "Quelle",
    camera: "Kamera",
    screen: "Bildschirm",
    file: "Videodatei …",
    sample: "Beispielfilm",
    fileField: "Videodatei",
    mirror: "Spiegeln",
    sync: "Genaue Rahmen",
    syncTitle: "Zeigt das Bild etwas später, damit die Rahmen genau sitzen",
    labels: "Namen",
    fullScreen: "Vollbild",
    find: "Finden",
    detect: "Dinge",
    detectHint: "Ein Rahmen um jedes Ding",
    pose: "Haltungen",
    poseHint: "Skelette von Menschen",
    segment: "Umrisse",
    segmentHint: "Die Form jedes Dings",
    ocr: "Schrift",
    ocrHint: "Wird gelesen, wenn das Bild ruht",
    flow: "Bewegung",
    flowHint: "Pfeile zeigen, wohin sich etwas bewegt",
    synthetic: "An gezeichneten Szenen gelernt: erkennt keine wirklichen Menschen. Dafür, auf dem Rechner des Servers:",
    confidence: "Sicherheit",
    found: "Gefunden",
    nothingFound: "Noch nichts gefunden.",
    hideKind: "Verbergen oder zeigen",
    position: "Stelle im Film",
    count: "Zählen",
    countHint: "Wer eine Linie quert oder in einem Bereich ist. Was ausgeblendet ist, zählt nicht.",
    countLine: "Linie",
    countZone: "Bereich",
    countRemove: "Entfernen",
    countDraw: "Zum Zeichnen über das Bild ziehen.",
    save: "Sichern",
    saveHint: "Die Dateien entstehen in diesem Browser; nichts wird gesendet.",
    savePicture: "Bild",
    saveLines: "Ergebnisse (JSONL)",
    saveTable: "Ergebnisse (CSV)",
    text: "Schrift",
    readNow: "Jetzt lesen",
    log: "Was gelesen wurde",
    noText: "Was gelesen wird, erscheint hier.",
    settings: "Einstellungen",
    transport: "Übertragung",
    transportAuto: "Automatisch",
    transportJpeg: "Einzelbilder",
    numbers: "Zahlen an den Namen",
    numbersHint: "Das wievielte es ist, und wie sicher",
    shortcuts: "Tasten mit einem Buchstaben",
    keyStart: "Start, Stopp",
    keyRead: "jetzt lesen",
    keyMirror: "spiegeln",
    keyFull: "Vollbild",
    diagnostics: "Diagnose",
    copy: "Kopieren",
    stopHint: "Sie schaltet sich selbst ab, wenn ihre Zeit um ist. Vielleicht benutzen andere sie.",
    stopSession: "Nur meine Sitzung",
    cancel: "Abbrechen",
  },

  engine: {
    frame: "Kamerabild",
    overlay: "Kamerabild mit dem, was darin gefunden wurde",
    play: "Abspielen",
    person: "Mensch",
    ago: "vor # s",
  },

  states: {
    idle: "Bereit",
    starting_gpu: "Die GPU startet",
    waiting: "Warten auf die GPU",
    connecting: "Verbinden",
    live: "Live",
    degraded: "Modelle fehlen",
    paused: "Pause",
    reconnecting: "Neu verbinden",
    stopping: "Anhalten",
    failed: "Angehalten",
  },
  keyNeeded: "Schlüssel nötig",
  waiting: {
    [FailureCode.SERVER_BUSY]: "Warten auf einen Platz",
    [FailureCode.FLEET_GROWING]: "Warten auf einen Platz",
    [FailureCode.TOO_MANY_SESSIONS]: "Warten auf einen Platz",
    [FailureCode.MODELS_LOADING]: "Warten auf die Modelle",
    [FailureCode.SERVER_UNREACHABLE]: "Warten auf den Server",
    [FailureCode.SERVER_RESTARTING]: "Warten auf den Server",
  },

  start: "Start",
  stop: "Stopp",
  starts: {
    camera: "Kamera starten",
    screen: "Bildschirm teilen",
    file: "Datei wählen",
    sample: "Beispiel abspielen",
    watch: "Zusehen",
  },
  opening: {
    camera: "Fragt der Browser nach der Kamera, erlaube sie.",
    screen: "Wähle im Fenster des Browsers, was geteilt wird.",
  },
  facing: { user: "Vordere Kamera", environment: "Hintere Kamera" },
  watch: (stream) => `${stream} zusehen`,
  tap: "Zum Abspielen das Bild antippen: Dieser Browser spielt es nicht von selbst ab.",
  reading: "Wird gelesen …",
  nothingRead: "Hier ist nichts zu lesen.",

  machine: {
    stopBoth: "Auch die GPU-Maschine anhalten?",
    stop: "Die GPU-Maschine anhalten?",
    both: "Auch die Maschine",
    it: "Anhalten",
    stopsIn: (clock) => `geht aus in ${clock}`,
    cost: (run, month) => `etwa ${decimal(run, 2)} $ jetzt, ${decimal(month, 2)} $ in diesem Monat`,
  },
  toGo: (clock) => `Noch etwa ${clock}.`,
  nextTry: (seconds) => `Nächster Versuch in ${seconds} s.`,

  given: {
    flow: "Bewegung ruht",
    ocr: "Lesen ruht",
    segment: "Umrisse halb so oft",
    pose: "Skelette halb so oft",
    detect: "weniger Ergebnisse je Sekunde",
  },
  busy: (what) => `Server ausgelastet: ${what}`,

  bridged: {
    silent: "Video kommt gerade nicht durch: Einzelbilder gehen über den WebSocket, weniger je Sekunde.",
    blocked: "UDP ist hier gesperrt: Einzelbilder gehen über den WebSocket, weniger je Sekunde.",
    noWebrtc:
      "Dieser Browser hat kein WebRTC, oder es ist abgeschaltet: Einzelbilder gehen über den WebSocket, weniger je Sekunde.",
    blank:
      "Der Schutz dieses Browsers vor Wiedererkennung macht die Bilder leer, und WebRTC kommt nicht durch. " +
      "Erlaube dieser Seite Canvas-Daten.",
  },
  network: {
    late: "Ergebnisse kommen spät: Das Netz hält sie auf.",
    slow: "Ergebnisse sind langsam: Der Server braucht lange für jedes.",
    age: (seconds) => `Sie sind ${decimal(seconds, 1)} s alt; was sie zeigen, ist blasser.`,
    narrow: (rate) =>
      `Die Leitung ist zu schmal für Video${rate === null ? "" : `: ${rate} ${rate === 1 ? "Bild" : "Bilder"} je Sekunde`}.`,
  },

  age: (ms) => `Ergebnisse ${ms} ms alt`,
  found: (count, label) => `${count} × ${GERMAN[label] ?? label}`,
  play: "Abspielen", pause: "Anhalten",
  crossings: (came, left, inside) => `Hinein ${came} · hinaus ${left}${inside === null ? "" : ` · drin ${inside}`}`,
  kept: (count) => (count === 1 ? "1 Ergebnis." : `${count} Ergebnisse.`),

  engines: { embedded: "Alles läuft im Server, mit ONNX Runtime.", triton: "Alles läuft auf NVIDIA Triton." },
  drawnFirst: "Die Modelle dieses Servers kennen nur gezeichnete Szenen, darum kommt zuerst der Beispielfilm. Wirkliche Menschen erkennen sie nicht.",
  drawn: "nur gezeichnete Szenen",
  kinds: (count) => `${count} ${count === 1 ? "Art" : "Arten"}`,

  gauges: {
    display: { name: "Anzeige", title: "Gezeichnete Bilder je Sekunde" },
    inference: { name: "Erkennung", title: "Ergebnisse je Sekunde" },
    age: { name: "Alter", title: "Von der Kamera bis zum Ergebnis" },
    skipped: { name: "Ausgelassen", title: "Bilder, denen ein neueres vorging" },
    sending: { name: "Gesendet", title: "An den Server" },
    objects: { name: "Gefunden", title: "Rahmen und Skelette im Bild" },
  },

  transports: {
    [Transport.NONE]: { label: "–", title: "Nicht verbunden" },
    [Transport.DATACHANNEL]: { label: "WebRTC", title: "Video über WebRTC, Ergebnisse über einen Datenkanal" },
    [Transport.WEBSOCKET]: { label: "WebRTC + WS", title: "Video über WebRTC, Ergebnisse über den WebSocket" },
    [Transport.JPEG]: { label: "JPEG", title: "Ohne WebRTC: Einzelbilder über den WebSocket" },
  },

  unknown: { title: "Etwas ist schiefgegangen", button: AGAIN },

  failures: deFailures,
};
