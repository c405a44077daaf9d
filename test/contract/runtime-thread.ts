// A worker thread for runtime-machine.ts: echoes, listens, starts a child and fails on demand.
// Called as a module URL. Promises: posts 'ready' once, then ['echo', message] for every message; a port that comes is listened to, and written to.
import { createRuntime } from '../../src/runtime/create.ts';
import type { ListenOptions } from '../../src/runtime/runtime.ts';

/** Where a thread listens when it is told to. */
const LISTEN: ListenOptions = {
  transport: 'uwebsockets',
  host: '127.0.0.1',
  port: 0,
  reusePort: false,
  bodyBytesMax: 1_000,
  idleTimeoutMs: 60_000,
  tls: null,
  http2: false,
  http3: false,
};
const runtime = await createRuntime();
const { scope } = runtime;
const env = { PATH: process.env.PATH ?? '' };
/** Ignores TERM and the end of its stdin, and says its number. */
const STUBBORN = `trap '' TERM; echo $$; while :; do sleep 0.05; done`;
if (scope !== null) {
  scope.onMessage((message, ports) => {
    for (const port of ports) {
      port.onMessage((heard) => scope.post(['heard', heard]));
      port.post(['from', message]);
    }
    if (ports.length > 0) return;
    if (message === 'throw') throw new TypeError('expected by this test');
    if (message === 'exit') process.exit(3);
    if (message === 'listen') {
      const listener = runtime.listen(LISTEN, () => {
        scope.post('asked');
        return new Promise(() => undefined);
      });
      scope.post(listener.port);
      return;
    }
    if (message === 'spawn') {
      runtime.spawn(
        { command: '/bin/sh', args: ['-c', STUBBORN], cwd: null, env },
        {
          onStdout: (bytes) => scope.post(Number(Buffer.from(bytes))),
          onStderr() {},
          onDrain() {},
          onExit() {},
        },
      );
    } else scope.post(['echo', message]);
  });
  scope.post('ready');
}
