// Tells when the pages of a list go in a circle: a server that repeats a cursor would be asked without an end.
// Called by whoever follows cursors by itself (bridge). Promises: pure; keeps one cursor however long the list is; a circle is found within three rounds of it
// (Brent's method).

/** Watches the cursors of one list. */
export class CursorCircle {
  #kept = '';
  #count = 0;
  #keepsAt = 1;

  /** True when the list goes in a circle. To be told of each cursor, in order. */
  closes(cursor: string): boolean {
    if (this.#count > 0 && cursor === this.#kept) return true;
    this.#count++;
    if (this.#count === this.#keepsAt) {
      this.#kept = cursor;
      this.#keepsAt *= 2;
    }
    return false;
  }
}
