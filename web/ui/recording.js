/**
 * The results of this session as files: kept in this tab, and nowhere else.
 *
 * @module
 */

/** At ten results a second a quarter of an hour, some 20 MB. */
const MOST_LINES = 10_000;
const COLUMNS = ["captured", "seq", "stage", "id", "label", "score", "x", "y", "width", "height"];
/** Of these spreadsheets make formulas. */
const FORMULA = /^[=+\-@\t\r]/;

export class Recording {
  /** @type {string[]} Each a message of the protocol, with the time of its frame. */
  #lines = [];

  get size() {
    return this.#lines.length;
  }

  /** @param {readonly string[]} lines */
  add(lines) {
    this.#lines.push(...lines);
    if (this.#lines.length > MOST_LINES) this.#lines = this.#lines.slice(-MOST_LINES);
  }

  clear() {
    this.#lines = [];
  }

  /** One message a line, as `mediaserver replay --out` writes them. */
  jsonLines() {
    return this.#lines.map((line) => `${line}\n`).join("");
  }

  /** One thing a line (RFC 4180). */
  table() {
    const rows = this.#lines.flatMap((line) => rowsOf(JSON.parse(line)));
    return [COLUMNS, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
  }
}

/** @param {import("../shared/wire.js").Result & {captured: string}} message @returns {(string | number)[][]} */
function rowsOf({ type, captured, seq, detections, poses, segments, followed_texts: texts }) {
  if (type !== "result") return [];
  /** @param {string} stage @param {{id?: number, label?: string, score: number, box: number[]}} thing */
  const row = (stage, { id, label, score, box }) => [captured, seq, stage, id ?? "", label ?? "", score, ...box];
  return [
    ...(detections ?? []).map((thing) => row("detect", thing)),
    ...(poses ?? []).map((thing) => row("pose", { ...thing, label: "person" })),
    ...(segments ?? []).map((thing) => row("segment", thing)),
    ...(texts ?? []).map((text) => row("ocr", { ...text, label: text.text, box: around(text.quad) })),
  ];
}

/** @param {import("../shared/wire.js").Point[]} quad */
function around(quad) {
  const [xs, ys] = [quad.map(([x]) => x), quad.map(([, y]) => y)];
  const [x, y] = [Math.min(...xs), Math.min(...ys)];
  return [x, y, Math.max(...xs) - x, Math.max(...ys) - y];
}

/** @param {string | number} value */
function cell(value) {
  if (typeof value === "number") return String(Number(value.toFixed(4)));
  const safe = FORMULA.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
