/**
 * Was schiefgehen kann, auf Deutsch: was geschah, was zu tun ist, und der Knopf, der es tut.
 *
 * @module
 */

import { FailureCode } from "../../shared/failure.js";

const AGAIN = "Noch einmal versuchen";
const RESTART = "Neu starten";

/** @type {Record<import("../../shared/failure.js").FailureCodeValue, import("./en.js").FailureWords>} */
export const deFailures = {
  [FailureCode.INSECURE_ORIGIN]: {
    title: "Diese Adresse ist nicht sicher",
    advice: "Browser öffnen die Kamera nur auf https:// oder localhost. Öffne die Seite mit https://, oder nimm einen Film.",
    button: AGAIN,
  },
  [FailureCode.NO_CAMERA]: {
    title: "Keine Kamera gefunden",
    advice: "Schließe eine Kamera an und versuche es noch einmal, oder nimm einen Film.",
    button: AGAIN,
  },
  [FailureCode.CAMERA_DENIED]: {
    title: "Die Kamera ist nicht erlaubt",
    advice: "Erlaube sie dieser Seite mit dem Zeichen neben der Adresse. Versuche es dann noch einmal.",
    button: AGAIN,
  },
  [FailureCode.CAMERA_BUSY]: {
    title: "Die Kamera ist in Gebrauch",
    advice: "Ein anderes Programm oder ein anderer Tab hat sie. Schließe sie dort und versuche es noch einmal.",
    button: AGAIN,
  },
  [FailureCode.SCREEN_DENIED]: {
    title: "Der Bildschirm wird nicht geteilt",
    advice: "Wähle im Fenster des Browsers ein Fenster oder einen Bildschirm, oder eine andere Quelle.",
    button: "Noch einmal wählen",
  },
  [FailureCode.SCREEN_NEEDS_TAP]: {
    title: "Bereit, den Bildschirm zu teilen",
    advice: "Der Browser zeigt sein Fenster nur gleich nach einem Klick.",
    button: "Bildschirm teilen",
  },
  [FailureCode.FILE_UNPLAYABLE]: {
    title: "Diese Datei lässt sich nicht abspielen",
    advice: "Der Browser liest dieses Format nicht. MP4 mit H.264 und WebM gehen überall.",
    button: AGAIN,
  },
  [FailureCode.SOURCE_UNSUPPORTED]: {
    title: "Das kann dieser Browser nicht senden",
    advice: "Wähle eine andere Quelle, oder öffne die Seite in einem neuen Chrome, Edge, Firefox oder Safari.",
    button: AGAIN,
  },
  [FailureCode.PLAYBACK_BLOCKED]: {
    title: "Der Browser spielt das Video nicht ab",
    advice: "Erlaube dieser Seite die automatische Wiedergabe, oder schalte am Telefon den Stromsparmodus aus.",
    button: AGAIN,
  },
  [FailureCode.CANVAS_HIDDEN]: {
    title: "Der Browser verbirgt Bilder vor Seiten",
    advice: "Sein Schutz vor Wiedererkennung macht sie leer. Erlaube dieser Seite Canvas-Daten, oder nimm die Kamera.",
    button: AGAIN,
  },
  [FailureCode.SOURCE_ENDED]: {
    title: "Das Bild ist zu Ende",
    advice: "Die Kamera wurde abgezogen, oder das Teilen beendet.",
    button: RESTART,
  },
  [FailureCode.SOURCE_PAUSED]: {
    title: "Von der Quelle kommen keine neuen Bilder",
    advice: "Sie ist aus, oder nichts bewegt sich. Die Sitzung bleibt und geht mit dem nächsten Bild von selbst weiter.",
    button: null,
  },
  [FailureCode.SOURCE_MUTED]: {
    title: "Das Telefon hat die Kamera angehalten",
    advice: "Ein Anruf, eine andere App oder die Sperre hat sie. Ist sie zurück, geht es von selbst weiter.",
    button: null,
  },
  [FailureCode.PAUSED_TOO_LONG]: {
    title: "Die Sitzung ruhte zu lange",
    advice: "Minutenlang kamen keine Bilder; der Server hat den Platz anderen gegeben.",
    button: RESTART,
  },
  [FailureCode.STREAM_UNPUBLISHED]: {
    title: "Diesen Strom sendet gerade niemand",
    advice: "Was darin gefunden wird, erscheint hier, sobald es jemand tut.",
    button: null,
  },
  [FailureCode.BAD_STREAM_NAME]: {
    title: "So heißt kein Strom",
    advice: "Namen haben 1 bis 64 Buchstaben, Ziffern und - . _ ~, ohne Leerzeichen. Berichtige ihn in der Adresse nach ?watch=.",
    button: AGAIN,
  },
  [FailureCode.SERVER_UNREACHABLE]: {
    title: "Der Server ist nicht zu erreichen",
    advice: "Er ist aus, oder das Netz lässt uns nicht durch. Es wird von selbst weiter versucht.",
    button: null,
  },
  [FailureCode.SERVER_SILENT]: {
    title: "Der Server ist verstummt",
    advice: "Vielleicht hat das Netz gewechselt. Es wird von selbst weiter versucht.",
    button: null,
  },
  [FailureCode.ORIGIN_REFUSED]: {
    title: "Der Server lässt diese Seite nicht herein",
    advice: "Er ist da, nimmt aber keine Seiten von dieser Adresse. Sein Betreiber kann sie erlauben (allowed_origins).",
    button: AGAIN,
  },
  [FailureCode.SERVER_BUSY]: {
    title: "Der Server ist voll",
    advice: "Alle Plätze sind besetzt. Sobald einer frei ist, bist du dran; lass diese Seite offen.",
    button: null,
  },
  [FailureCode.FLEET_GROWING]: {
    title: "Ein weiterer Server wird gestartet",
    advice: "Alle Plätze sind besetzt. In einigen Minuten gibt es mehr, dann bist du von selbst dran; lass diese Seite offen.",
    button: null,
  },
  [FailureCode.TOO_MANY_SESSIONS]: {
    title: "Zu viele Sitzungen sind deine",
    advice: "Mehr erlaubt dein Zugang nicht. Schließe eine, in einem anderen Tab oder auf einem anderen Gerät.",
    button: null,
  },
  [FailureCode.MODELS_LOADING]: {
    title: "Die Modelle werden geladen",
    advice: "Der Server ist eben gestartet. Das dauert einige Sekunden.",
    button: null,
  },
  [FailureCode.MODELS_AWAY]: {
    title: "Die Modelle fehlen",
    advice: "Sobald der Server sie wieder erreicht, kommen die Rahmen von selbst zurück.",
    button: null,
  },
  [FailureCode.SERVER_RESTARTING]: {
    title: "Der Server startet neu",
    advice: "Ist er zurück, geht die Sitzung weiter. Es ist nichts zu tun.",
    button: null,
  },
  [FailureCode.SERVER_ERROR]: {
    title: "Der Server hat einen Fehler",
    advice: "Es wird von selbst weiter versucht. Bleibt es so, kopiere die Diagnose für den Betreiber.",
    button: null,
  },
  [FailureCode.CONNECTION_LOST]: {
    title: "Die Verbindung ist abgerissen",
    advice: "Sie wird von selbst wieder aufgenommen.",
    button: null,
  },
  [FailureCode.UNAUTHORIZED]: {
    title: "Der Server verlangt einen gültigen Schlüssel",
    advice: "Gib deinen Schlüssel ein, oder lass dir einen neuen geben.",
    button: AGAIN,
  },
  [FailureCode.KEY_NEEDED]: {
    title: "Gib deinen Zugangsschlüssel ein",
    advice: "Dieser Server ist für die, die einen haben. Du bekommst ihn von seinem Betreiber.",
    button: "Verbinden",
  },
  [FailureCode.TOKEN_REFUSED]: {
    title: "Der Server nimmt das Token seines Dienstes nicht an",
    advice: "Dein Schlüssel ist gut, aber Server und Dienst haben verschiedene. Sag es dem Betreiber, er kann es richten.",
    button: AGAIN,
  },
  [FailureCode.REPLACED]: {
    title: "Die Sitzung ging anderswo weiter",
    advice: "Ein anderer Tab hat sie übernommen.",
    button: "Hier starten",
  },
  [FailureCode.PROTOCOL_ERROR]: {
    title: "Seite und Server verstehen einander nicht",
    advice: "Vielleicht haben sie verschiedene Versionen. Lade die Seite neu; bleibt es so, kopiere die Diagnose.",
    button: AGAIN,
  },
  [FailureCode.GPU_STOPPED]: {
    title: "Die GPU-Maschine wurde nach Plan abgeschaltet",
    advice: "Ist ihre Zeit um, geht sie von selbst aus. Starte sie neu, um weiterzumachen.",
    button: RESTART,
  },
  [FailureCode.GPU_FAILED]: {
    title: "Die GPU-Maschine ist nicht gestartet",
    advice: "Versuche es gleich noch einmal.",
    button: AGAIN,
  },
  [FailureCode.GPU_RUNS_ON]: {
    title: "Die GPU-Maschine läuft weiter",
    advice: "Sie ließ sich jetzt nicht anhalten. Ist ihre Zeit um, geht sie von selbst aus.",
    button: RESTART,
  },
  [FailureCode.LIFECYCLE_UNREACHABLE]: {
    title: "Der Dienst, der die GPU startet, ist nicht zu erreichen",
    advice: "Prüfe das Netz und versuche es noch einmal.",
    button: AGAIN,
  },
  [FailureCode.ENGINE_LOST]: {
    title: "Die Bildverarbeitung antwortet nicht mehr",
    advice: "Sie wird von selbst neu gestartet. Hilft das nicht, lade die Seite neu.",
    button: RESTART,
  },
};
