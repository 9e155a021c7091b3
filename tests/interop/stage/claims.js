// Counts claims, and prints those that do not hold.
"use strict";

const { isDeepStrictEqual } = require("util");

class Claims {
  #name;
  #count = 0;
  #failed = 0;

  constructor(name) {
    this.#name = name;
  }

  same(claim, found, wanted) {
    this.#count += 1;
    if (isDeepStrictEqual(found, wanted)) return;
    this.#failed += 1;
    console.log(`${this.#name}: ${claim}: expected ${JSON.stringify(wanted)}, found ${JSON.stringify(found)}`);
  }

  holds(claim, found) {
    this.same(claim, Boolean(found), true);
  }

  // Prints the last line. Returns the exit status.
  close(compared) {
    const verdict = this.#failed ? `${this.#failed} FAILED` : "ok";
    console.log(`${this.#name}: ${this.#count} claims: ${compared}: ${verdict}`);
    return this.#failed ? 1 : 0;
  }
}

module.exports = { Claims };
