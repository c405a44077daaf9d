// The gateway's own stdin, stdout and stderr.
// Called by bun.ts and node.ts. Promises: what one call writes is never cut by another call's bytes, and nothing is lost when
// the reader is slow or the process exits right after: writes are synchronous, as Node's are on pipes.
import { writeSync } from 'node:fs';
import type { Standard } from './runtime.ts';

const STDOUT = 1;
const STDERR = 2;
/** Waiting for what nobody changes is how a thread sleeps. */
const nobody = new Int32Array(new SharedArrayBuffer(4));

/** Writes all bytes, waiting on a full pipe; a reader that is gone is not an error here: then it is false. */
function writeAll(fd: number, bytes: Uint8Array): boolean {
  let at = 0;
  while (at < bytes.length) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (thrown) {
      const code = thrown instanceof Error && 'code' in thrown ? thrown.code : null;
      if (code !== 'EAGAIN') return false;
      // Whoever shares the pipe made it non-blocking.
      Atomics.wait(nobody, 0, 0, 1);
    }
  }
  return true;
}

/** The process's own streams. */
export function systemStandard(): Standard {
  let stdoutIsGone = false;
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
    writeStdout(bytes) {
      if (!writeAll(STDOUT, bytes)) stdoutIsGone = true;
    },
    writeStderr(bytes) {
      writeAll(STDERR, bytes);
    },
    get stdoutIsGone() {
      return stdoutIsGone;
    },
    // node:tty brings the whole of node:net along, 10 ms in every thread: it is loaded only when somebody asks.
    get stderrIsTerminal() {
      return process.getBuiltinModule('node:tty').isatty(STDERR);
    },
  };
}
