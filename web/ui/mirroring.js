/**
 * Whether the picture is shown as in a mirror: whoever looks at the screen wants that of the camera that looks back, and
 * of nothing else, as writing is read backwards in it. What the user says counts more, for each source.
 *
 * @module
 */

export class Mirroring {
  #input;
  #choices;
  #about = "";

  /**
   * @param {HTMLInputElement} input A check box.
   * @param {Record<string, boolean>} choices Of the user; added to here.
   */
  constructor(input, choices) {
    this.#input = input;
    this.#choices = choices;
    input.addEventListener("change", () => (this.#choices[this.#about] = input.checked));
  }

  /**
   * @param {string} source "camera" is the one that the browser takes by itself: on laptops it looks at the user.
   * @param {string} facing The camera's `facingMode`; "" where it has none, or is not open yet.
   */
  show(source, facing) {
    this.#about = facing === "" ? source : facing;
    this.#input.checked = this.#choices[this.#about] ?? isMirrored(source, facing);
  }
}

/** @param {string} source @param {string} facing */
export function isMirrored(source, facing) {
  return facing === "" ? source === "camera" : facing === "user";
}
