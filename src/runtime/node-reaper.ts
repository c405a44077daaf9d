// The reaper's shell on node:child_process.
// Called by node.ts. Promises: reaper.ts's StartShell; it keeps no gateway alive.
import { spawn } from 'node:child_process';
import { REAPER_ENV, REAPER_SCRIPT, type StartShell } from './reaper.ts';

/** Starts the shell. */
export const startNodeReaper: StartShell = (onExit) => {
  const started = spawn('/bin/sh', ['-c', REAPER_SCRIPT], {
    stdio: ['pipe', 'ignore', 'ignore'],
    env: { ...REAPER_ENV },
    cwd: '/',
    // A session of its own: no terminal's Ctrl-C reaches it.
    detached: true,
  });
  started.unref();
  started.stdin.on('error', () => undefined);
  // Pipes are sockets in Node; its types know them as streams only.
  (started.stdin as { unref?: () => void }).unref?.();
  started.on('error', () => undefined);
  started.once('exit', onExit);
  return {
    pid: started.pid ?? 0,
    // Fails when the shell has just been ended by someone: onExit tells.
    write: (text) => void started.stdin.write(text),
  };
};
