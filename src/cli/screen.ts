// The terminal as one page that is drawn again and again: `sluice top`.
// Called by main.ts, which makes it for the World. Promises: what was on the terminal before is there again however the process ends, signals and faults included
// (SIGKILL aside); lines are cut to its width, never wrapped; nothing is written to what is no terminal.
import { clip } from './operate/table.ts';

/** A page on the terminal. */
export interface Screen {
  readonly columns: number;
  readonly rows: number;
  /** Shows these lines, from the top; those that have no room are left out. */
  draw(lines: readonly string[]): void;
  /** Keys as they come: a character, or the sequence that the terminal sends. */
  onKey(callback: (key: string) => void): void;
  onResize(callback: () => void): void;
  /** Gives the terminal back. */
  close(): void;
}

/** Another page, no cursor, no wrapping. */
const OPEN = '\u001b[?1049h\u001b[?25l\u001b[?7l';
const CLOSE = '\u001b[?7h\u001b[?25h\u001b[?1049l';
/** What is drawn between these appears at once, where terminals know it. */
const BEGIN = '\u001b[?2026h\u001b[H';
const END = '\u001b[J\u001b[?2026l';

/** Takes the terminal of stdout; `write` goes there. */
export function openScreen(write: (text: string) => void): Screen {
  const { stdin, stdout } = process;
  // Without a terminal there (input from a pipe) keys do not come, and the end is left to signals.
  const hasKeys = stdin.isTTY;
  let isOpen = true;
  const close = (): void => {
    if (!isOpen) return;
    isOpen = false;
    write(CLOSE);
    if (hasKeys) {
      stdin.setRawMode(false);
      stdin.pause();
    }
  };
  process.on('exit', close);
  if (hasKeys) stdin.setRawMode(true);
  write(OPEN);
  return {
    get columns() {
      return stdout.columns || 80;
    },
    get rows() {
      return stdout.rows || 24;
    },
    draw(lines) {
      if (!isOpen) return;
      const shown = lines.slice(0, this.rows).map((line) => `${clip(line, this.columns)}\u001b[0m\u001b[K`);
      write(`${BEGIN}${shown.join('\r\n')}${END}`);
    },
    onKey(callback) {
      if (!hasKeys) return;
      stdin.setEncoding('utf8');
      stdin.on('data', (text) => callback(String(text)));
    },
    onResize(callback) {
      stdout.on('resize', callback);
    },
    close,
  };
}
