// Tables and figures as a terminal shows them.
// Called by servers.ts, top-view.ts, traffic-line.ts and doctor/. Promises: pure; widths are counted without colours; what comes from a server cannot steer the terminal.
import { printable } from '../paint.ts';

// biome-ignore lint/suspicious/noControlCharactersInRegex: colours are control sequences
const COLOURS = /\u001b\[\d+m/g;

/** Text of one cell: one line, nothing that steers a terminal, `max` characters at most. */
export function cell(text: string, max = 200): string {
  const line = printable(text).replace(/[\t\n]+/g, ' ');
  return line.length > max ? `${line.slice(0, max - 1)}…` : line;
}

/** Characters of a text that are seen. */
export function widthOf(text: string): number {
  return text.replace(COLOURS, '').length;
}

/** A text cut to so many seen characters; colours are kept, and ended. */
export function clip(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let seen = 0;
  let out = '';
  for (const [piece] of text.matchAll(new RegExp(`${COLOURS.source}|[\\s\\S]`, 'gu'))) {
    if (piece.length > 2) out += piece;
    else if (seen < width) {
      out += piece;
      seen++;
    }
  }
  return out;
}

/** Lines of a table; columns whose head begins with a blank are set to the right (the blank is not shown). */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const isRight = head.map((word) => word.startsWith(' '));
  const all = [head.map((word) => word.trimStart()), ...rows];
  const widths = head.map((_, at) => Math.max(...all.map((row) => widthOf(row[at] ?? ''))));
  return all.map((row) =>
    row
      .map((text, at) => {
        const gap = ' '.repeat(Math.max(0, (widths[at] ?? 0) - widthOf(text)));
        return isRight[at] === true ? gap + text : text + gap;
      })
      .join('  ')
      .trimEnd(),
  );
}

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** A number of bytes with its unit: 1536 → 1.5 KiB. */
export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < BYTE_UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${BYTE_UNITS[unit]}`;
}

/** A time with its unit; null is a dash. */
export function msText(ms: number | null): string {
  if (ms === null) return '-';
  if (ms >= 10_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms >= 100) return `${Math.round(ms)} ms`;
  return `${ms.toFixed(ms >= 10 ? 1 : 2)} ms`;
}

/** How long something runs: its two largest units. */
export function spanText(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3_600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ] as const;
  const from = Math.max(
    0,
    parts.findIndex(([count]) => count > 0),
  );
  const shown = seconds === 0 ? parts.slice(3) : parts.slice(from, from + 2);
  return shown.map(([count, unit]) => `${count} ${unit}`).join(' ');
}

/** Something per second. */
export function rateText(perSecond: number): string {
  return perSecond >= 100 ? String(Math.round(perSecond)) : perSecond.toFixed(1);
}
