// The gateway's own stdin, stdout and stderr.
// Called by bun.ts only. Promises: what one call writes is never cut by another call's bytes, and nothing is lost when
// the reader is slow or the process exits right after: writes are synchronous, as Node's are on pipes.
import { writeSync } from 'node:fs';
import type { Standard } from './runtime.ts';

const STDOUT = 1;
const STDERR = 2;

/** Writes all bytes, waiting on a full pipe; a reader that is gone is not an error here. */
function writeAll(fd: number, bytes: Uint8Array): void {
  let at = 0;
  while (at < bytes.length) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (thrown) {
      const code = thrown instanceof Error && 'code' in thrown ? thrown.code : null;
      if (code !== 'EAGAIN') return;
      // Whoever shares the pipe made it non-blocking.
      Bun.sleepSync(1);
    }
  }
}

/** The process's own streams. */
export function bunStandard(): Standard {
  return {
    readStdin(onBytes, onEnd) {
      let over = false;
      const end = (): void => {
        if (over) return;
        over = true;
        onEnd();
      };
      process.stdin.on('data', onBytes);
      process.stdin.once('end', end);
      process.stdin.once('error', end);
      process.stdin.once('close', end);
    },
    writeStdout: (bytes) => writeAll(STDOUT, bytes),
    writeStderr: (bytes) => writeAll(STDERR, bytes),
    // node:tty brings the whole of node:net along, 10 ms in every thread: it is loaded only when somebody asks.
    get stderrIsTerminal() {
      return process.getBuiltinModule('node:tty').isatty(STDERR);
    },
  };
}
