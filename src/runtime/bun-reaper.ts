// The reaper's shell on Bun.spawn.
// Called by bun.ts. Promises: reaper.ts's StartShell; it keeps no gateway alive.
import { REAPER_ENV, REAPER_SCRIPT, type StartShell } from './reaper.ts';

/** Starts the shell. */
export const startBunReaper: StartShell = (onExit) => {
  const started = Bun.spawn({
    cmd: ['/bin/sh', '-c', REAPER_SCRIPT],
    stdin: 'pipe',
    stdout: 'ignore',
    stderr: 'ignore',
    env: REAPER_ENV,
    cwd: '/',
    // A session of its own: no terminal's Ctrl-C reaches it.
    detached: true,
    onExit: () => onExit(),
  });
  started.unref();
  started.stdin.unref();
  return {
    pid: started.pid,
    write(text) {
      // Rejected when the shell has just been ended by someone: onExit tells.
      void Promise.resolve(started.stdin.write(text)).catch(() => undefined);
      void Promise.resolve(started.stdin.flush()).catch(() => undefined);
    },
  };
};
