/**
 * How many JPEG frames are under way, and how large they are: so many and so large that none queues behind another.
 * Pure: times are passed in, in ms of `performance.now()`. `mediaserver/client/jpeg_pacing.py` is its twin.
 *
 * @module
 */

const MAX_UNANSWERED = 2;
/** So long after a frame was received its result is waited for: some have none, as they were too old. */
const GIVEN_UP_MS = 1000;
/** A frame that takes longer is followed by smaller ones; after many that take less than `WIDE_MS`, larger are tried. */
const NARROW_MS = 350;
const WIDE_MS = 120;
const MANY = 20;
/** Of capture times in results. */
const ROUNDING_MS = 0.1;

/** @typedef {{width: number, height: number, quality: number}} Form What a picture is made to fit. */

/** @type {readonly Form[]} */
export const FORMS = [
  { width: 320, height: 240, quality: 0.7 },
  { width: 320, height: 240, quality: 0.5 },
  { width: 320, height: 240, quality: 0.35 },
  { width: 240, height: 180, quality: 0.35 },
  { width: 160, height: 120, quality: 0.35 },
];

/**
 * @typedef {{number: number, captureTime: number, sentAt: number, arrivedAt: number | null, isJudged: boolean}} Frame
 * `isJudged`: the time that it took is that of the network.
 */

/**
 * A frame is followed by a ping of the same number, whose answer tells that it was received. Where that takes long,
 * the next frame waits for it; nowhere are more than two without a result.
 */
export class JpegPacing {
  /** @type {Frame[]} */
  #underWay = [];
  #lastArrival = 0;
  /** What the fastest frame took: that much is distance, what others take longer is width. */
  #least = Infinity;
  #form = 0;
  #easy = 0;

  /** Whether frames take so long that they go one by one. */
  isNarrow = false;

  /** Of the next frame. */
  get form() {
    return FORMS[this.#form];
  }

  /** @param {number} now @returns {boolean} Whether a frame may be sent now. */
  hasRoom(now) {
    this.#underWay = this.#underWay.filter(({ arrivedAt }) => arrivedAt === null || now - arrivedAt <= GIVEN_UP_MS);
    if (this.isNarrow && this.#underWay.some(({ arrivedAt }) => arrivedAt === null)) return false;
    return this.#underWay.length < MAX_UNANSWERED;
  }

  /** @param {number} number @param {number} captureTime @param {number} now A frame is on its way. */
  sent(number, captureTime, now) {
    this.#underWay.push({ number, captureTime, sentAt: now, arrivedAt: null, isJudged: true });
  }

  /** @param {number} number @param {number} now The server has this frame. */
  received(number, now) {
    const frame = this.#underWay.find((each) => each.number === number && each.arrivedAt === null);
    if (frame === undefined) return;
    frame.arrivedAt = now;
    if (frame.isJudged) this.#adapt(now - Math.max(frame.sentAt, this.#lastArrival));
    this.#lastArrival = now;
  }

  /** The page was held up, so answers to the frames under way are handled later than they came. */
  heldUp() {
    for (const frame of this.#underWay) frame.isJudged = false;
  }

  /** @param {number} captureTime A result came: no older frame will have one. */
  answered(captureTime) {
    this.#underWay = this.#underWay.filter((frame) => frame.captureTime > captureTime + ROUNDING_MS);
  }

  /** @param {number} took */
  #adapt(took) {
    this.#least = Math.min(this.#least, took);
    const width = took - this.#least;
    this.isNarrow = width > WIDE_MS || this.#form > 0;
    this.#easy = width < WIDE_MS ? this.#easy + 1 : 0;
    if (width > NARROW_MS) {
      this.#form = Math.min(this.#form + 1, FORMS.length - 1);
    } else if (this.#easy >= MANY && this.#form > 0) {
      this.#form -= 1;
      this.#easy = 0;
    }
  }
}
