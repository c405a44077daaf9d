// The runtime's contract on Node: what runtime-node.test.ts bundles and runs inside Node.
// Called as a module by `node --test`. Promises: the same tests as on Bun, over uWebSockets.js, our own HTTP/1.1 on raw sockets, and node:http.
import { fileURLToPath } from 'node:url';
import { createNodeRuntime } from '../../src/runtime/node.ts';
import { listenOnNodeHttp } from '../../src/runtime/node-http.ts';
import { runtimeContract } from './runtime.ts';
import { machineContract } from './runtime-machine.ts';
import { realWorld } from './runtime-real.ts';
import { uwsThreadContract } from './runtime-uws.ts';

runtimeContract('node, uWebSockets.js', () => realWorld(createNodeRuntime(), 'uwebsockets', false));
runtimeContract('node, sockets', () => realWorld(createNodeRuntime(), 'sockets'));
runtimeContract('node, node:http', () =>
  realWorld({
    ...createNodeRuntime(),
    listen: (options, handler) => listenOnNodeHttp(options, handler, () => undefined),
  }),
);

machineContract({
  name: 'Node',
  runtime: createNodeRuntime(),
  threadUrl: new URL('./runtime-thread.js', import.meta.url).href,
  program: fileURLToPath(new URL('./runtime-process.js', import.meta.url)),
  isUwsJs: true,
});

uwsThreadContract(
  new URL('./runtime-thread.js', import.meta.url).href,
  new URL('./runtime-process.js', import.meta.url).href,
);
