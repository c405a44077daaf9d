// One TypeScript or C++ text, taken apart as far as the tidy checks need: comments, strings and the code between them.
// Called by the checks beside it. Promises: `code` has the length and the line ends of the text, with the insides of
// comments, strings, templates and regular expressions blanked, so that a pattern found in it is code and its offset is true.

/** A stretch of the text; `value` is what stands inside the marks. */
export interface Piece {
  readonly start: number;
  readonly end: number;
  readonly value: string;
}

/** A file of the tree and what the scanner made of it. */
export interface Source {
  /** Relative to the root, with forward slashes. */
  readonly path: string;
  readonly text: string;
  readonly code: string;
  readonly comments: readonly Piece[];
  readonly strings: readonly Piece[];
}

/** Words after which a slash begins a regular expression rather than a division. */
const BEFORE_REGEX =
  /(?:^|[^.\w$])(?:return|typeof|case|in|of|delete|void|throw|new|else|do|instanceof|yield|await)\s*$/;

class Scan {
  readonly comments: Piece[] = [];
  readonly strings: Piece[] = [];
  readonly #text: string;
  readonly #code: string[];
  #at = 0;

  constructor(text: string) {
    this.#text = text;
    this.#code = text.split('');
  }

  run(): string {
    this.#codeUntil(null);
    return this.#code.join('');
  }

  /** Reads code until the closing brace of a template's `${`, or to the end. */
  #codeUntil(close: '}' | null): void {
    let depth = 0;
    while (this.#at < this.#text.length) {
      const char = this.#text.charAt(this.#at);
      const next = this.#text.charAt(this.#at + 1);
      if (char === '/' && next === '/') this.#comment('\n', 2, 0);
      else if (char === '/' && next === '*') this.#comment('*/', 2, 2);
      else if (char === "'" || char === '"') this.#quoted(char);
      else if (char === '`') this.#template();
      else if (char === '/' && this.#regexMayStart()) this.#regex();
      else {
        if (char === '{') depth++;
        if (char === '}' && depth-- === 0 && close !== null) return;
        this.#at++;
      }
    }
  }

  #comment(until: string, open: number, closing: number): void {
    const start = this.#at;
    const found = this.#text.indexOf(until, start + open);
    const end = found < 0 ? this.#text.length : found + closing;
    this.comments.push({
      start,
      end,
      value: this.#text.slice(start + open, end - (found < 0 ? 0 : closing)),
    });
    this.#blank(start, end);
    this.#at = end;
  }

  #quoted(quote: string): void {
    const start = this.#at++;
    while (
      this.#at < this.#text.length &&
      this.#text.charAt(this.#at) !== quote &&
      this.#text.charAt(this.#at) !== '\n'
    ) {
      this.#at += this.#text.charAt(this.#at) === '\\' ? 2 : 1;
    }
    this.#at = Math.min(this.#at + 1, this.#text.length);
    this.strings.push({ start, end: this.#at, value: this.#text.slice(start + 1, this.#at - 1) });
    this.#blank(start + 1, this.#at - 1);
  }

  #template(): void {
    const start = this.#at++;
    let from = this.#at;
    while (this.#at < this.#text.length && this.#text.charAt(this.#at) !== '`') {
      if (this.#text.charAt(this.#at) === '\\') this.#at += 2;
      else if (this.#text.startsWith('${', this.#at)) {
        this.#blank(from, this.#at);
        this.#at += 2;
        this.#codeUntil('}');
        this.#at++;
        from = this.#at;
      } else this.#at++;
    }
    this.#at = Math.min(this.#at, this.#text.length);
    this.#blank(from, this.#at);
    this.#at++;
    this.strings.push({ start, end: this.#at, value: this.#text.slice(start + 1, this.#at - 1) });
  }

  #regex(): void {
    const start = this.#at++;
    let inClass = false;
    for (; this.#at < this.#text.length; this.#at++) {
      const char = this.#text.charAt(this.#at);
      if (char === '\n') break;
      if (char === '\\') this.#at++;
      else if (char === '[') inClass = true;
      else if (char === ']') inClass = false;
      else if (char === '/' && !inClass) break;
    }
    this.#blank(start + 1, this.#at);
    this.#at++;
  }

  #regexMayStart(): boolean {
    const before = this.#code
      .slice(Math.max(0, this.#at - 80), this.#at)
      .join('')
      .trimEnd();
    return before === '' || BEFORE_REGEX.test(before) || !/[\w$)\]}'"`/<]$/.test(before);
  }

  #blank(start: number, end: number): void {
    for (let i = start; i < end; i++) if (this.#code[i] !== '\n') this.#code[i] = ' ';
  }
}

/** Takes a text apart. */
export function readSource(path: string, text: string): Source {
  const scan = new Scan(text);
  const code = scan.run();
  return { path, text, code, comments: scan.comments, strings: scan.strings };
}

/** Line number (from 1) of an offset. */
export function lineOf(source: Source, offset: number): number {
  let line = 1;
  for (let at = source.text.indexOf('\n'); at >= 0 && at < offset; at = source.text.indexOf('\n', at + 1))
    line++;
  return line;
}

/** `path:line` of an offset. */
export function place(source: Source, offset: number): string {
  return `${source.path}:${lineOf(source, offset)}`;
}

/** True when a comment that says something stands on the offset's line or on the line before it. */
export function hasReasonNear(source: Source, offset: number): boolean {
  const line = lineOf(source, offset);
  return source.comments.some((comment) => {
    if (comment.value.replace(/[^A-Za-z]/g, '').length < 6) return false;
    const first = lineOf(source, comment.start);
    const last = lineOf(source, comment.end - 1);
    return first === line || last === line || last === line - 1;
  });
}

/** The string literal that begins at an offset, or undefined. */
export function stringAt(source: Source, offset: number): Piece | undefined {
  return source.strings.find((piece) => piece.start === offset);
}
