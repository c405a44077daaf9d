// Notes the line of every key and list entry of a TOML text that a parser has already accepted.
// Called by toml.ts, only when a message needs a line. Promises: never throws and always ends; on text that is not TOML
// some lines may be missing. Longer than a table because strings, tables in one line and arrays nest.
import type { KeyPath } from './problem.ts';

const BARE = /[A-Za-z0-9_-]/;

/** JSON of a path → line, from 1. */
export function tomlLines(text: string): ReadonlyMap<string, number> {
  return new LineReader(text).read();
}

/** One pass over the text; `at` only grows. */
class LineReader {
  private at = 0;
  private line = 1;
  private readonly lines = new Map<string, number>();
  /** How many entries each [[list]] has so far, by JSON of its path. */
  private readonly entries = new Map<string, number>();
  private table: KeyPath = [];

  constructor(private readonly text: string) {}

  read(): ReadonlyMap<string, number> {
    while (this.at < this.text.length) {
      const before = this.at;
      this.skipBlank(true);
      if (this.peek() === '[') this.header();
      else if (this.at < this.text.length) this.pair(this.table);
      // Whatever this is, go on behind it.
      if (this.at === before) this.take();
    }
    return this.lines;
  }

  private peek(): string {
    return this.text.charAt(this.at);
  }

  private take(): string {
    const char = this.text.charAt(this.at++);
    if (char === '\n') this.line++;
    return char;
  }

  /** Blanks and comments; newlines too when asked. */
  private skipBlank(newlines: boolean): void {
    for (;;) {
      const char = this.peek();
      if (char === ' ' || char === '\t' || char === '\r' || (newlines && char === '\n')) this.take();
      else if (char === '#') while (this.at < this.text.length && this.peek() !== '\n') this.take();
      else return;
    }
  }

  private note(path: KeyPath, line: number): void {
    const key = JSON.stringify(path);
    if (!this.lines.has(key)) this.lines.set(key, line);
  }

  /** Puts the last index into each list of tables that the path goes through. */
  private throughLists(keys: readonly string[]): KeyPath {
    let path: KeyPath = [];
    for (const key of keys) {
      path = [...path, key];
      const count = this.entries.get(JSON.stringify(path));
      if (count !== undefined) path = [...path, count - 1];
    }
    return path;
  }

  private header(): void {
    const line = this.line;
    this.take();
    const list = this.peek() === '[';
    if (list) this.take();
    const keys = this.keys();
    while (this.peek() === ']') this.take();
    if (list) {
      const last = keys.at(-1) ?? '';
      const path = [...this.throughLists(keys.slice(0, -1)), last];
      const count = (this.entries.get(JSON.stringify(path)) ?? 0) + 1;
      this.entries.set(JSON.stringify(path), count);
      this.note(path, line);
      this.table = [...path, count - 1];
    } else this.table = this.throughLists(keys);
    this.noteAll([], this.table, line);
  }

  private noteAll(base: KeyPath, path: KeyPath, line: number): void {
    for (let depth = base.length + 1; depth <= path.length; depth++) this.note(path.slice(0, depth), line);
  }

  /** A dotted key: each part bare or quoted. */
  private keys(): string[] {
    const keys: string[] = [];
    for (;;) {
      this.skipBlank(false);
      const quote = this.peek();
      if (quote === '"' || quote === "'") keys.push(this.quoted());
      else {
        let bare = '';
        while (this.at < this.text.length && BARE.test(this.peek())) bare += this.take();
        keys.push(bare);
      }
      this.skipBlank(false);
      if (this.peek() !== '.') return keys;
      this.take();
    }
  }

  private pair(base: KeyPath): void {
    const line = this.line;
    const path = [...base, ...this.keys()];
    this.noteAll(base, path, line);
    if (this.peek() === '=') {
      this.take();
      this.value(path);
    }
  }

  private value(path: KeyPath): void {
    this.skipBlank(false);
    const char = this.peek();
    if (char === '"' || char === "'") this.quoted();
    else if (char === '[') this.list(path);
    else if (char === '{') this.inlineTable(path);
    else while (this.at < this.text.length && !/[,\]}\n#]/.test(this.peek())) this.take();
  }

  private list(path: KeyPath): void {
    this.take();
    for (let index = 0; this.at < this.text.length; index++) {
      this.skipBlank(true);
      if (this.peek() === ']') break;
      this.note([...path, index], this.line);
      this.value([...path, index]);
      this.skipBlank(true);
      if (this.peek() !== ',') break;
      this.take();
    }
    if (this.peek() === ']') this.take();
  }

  private inlineTable(path: KeyPath): void {
    this.take();
    while (this.at < this.text.length) {
      this.skipBlank(true);
      if (this.peek() === '}') break;
      this.pair(path);
      this.skipBlank(true);
      if (this.peek() !== ',') break;
      this.take();
    }
    if (this.peek() === '}') this.take();
  }

  /** A string of any of the four kinds; returns its text (escapes of a basic one undone by JSON's rules where they agree). */
  private quoted(): string {
    const quote = this.take();
    const triple = this.text.startsWith(quote + quote, this.at);
    if (triple) this.at += 2;
    const close = triple ? quote.repeat(3) : quote;
    const start = this.at;
    while (this.at < this.text.length && !this.text.startsWith(close, this.at)) {
      if (quote === '"' && this.peek() === '\\') this.take();
      if (this.take() === '\n' && !triple) break;
    }
    const raw = this.text.slice(start, this.at);
    this.at += close.length;
    // Up to two quotes may stand right before the closing three.
    while (triple && this.peek() === quote) this.take();
    if (quote === "'" || !raw.includes('\\')) return raw;
    try {
      return String(JSON.parse(`"${raw}"`));
    } catch {
      return raw;
    }
  }
}
