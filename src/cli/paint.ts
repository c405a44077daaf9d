// Colours for people, and columns.
// Called by the commands that print for people. Promises: without a terminal, or with NO_COLOR, text stays as it is.

/** Ways to set text off. */
export interface Paint {
  bold(text: string): string;
  dim(text: string): string;
  accent(text: string): string;
  /** All well, worth a look, broken. */
  good(text: string): string;
  warn(text: string): string;
  bad(text: string): string;
}

/** False where the environment wants no colours, whatever the terminal can do (https://no-color.org). */
export function mayColour(env: Readonly<Record<string, string | undefined>>): boolean {
  return (env.NO_COLOR ?? '') === '' && env.TERM !== 'dumb';
}

/** Paint that colours (ANSI) or leaves alone. */
export function createPaint(colour: boolean): Paint {
  const wrap = (on: number, off: number) => (text: string) =>
    colour ? `\u001b[${on}m${text}\u001b[${off}m` : text;
  const colours = { accent: wrap(36, 39), good: wrap(32, 39), warn: wrap(33, 39), bad: wrap(31, 39) };
  return { bold: wrap(1, 22), dim: wrap(2, 22), ...colours };
}

/** Makes text from a server safe for a terminal: control characters, escapes among them, become blanks. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this is about
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, ' ');
}

/** Rows as columns, padded to the widest cell; the last column is left as it is. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, index) => {
      widths[index] = Math.max(widths[index] ?? 0, cell.length);
    });
  }
  return rows
    .map((row) =>
      row
        .map((cell, index) => (index === row.length - 1 ? cell : cell.padEnd(widths[index] ?? 0)))
        .join('  '),
    )
    .map((line) => `${line.trimEnd()}\n`)
    .join('');
}
