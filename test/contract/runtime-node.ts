// The runtime's contract on Node, and the registry's: what runtime-node.test.ts bundles and runs inside Node.
// Called as a module by `node --test`. Promises: the same tests as on Bun, over uWebSockets.js or what serves where that cannot load, our own HTTP/1.1 on raw sockets, and node:http.
import { fileURLToPath } from 'node:url';
import { databasesOf } from '../../src/control/registry/open.ts';
import { createNodeRuntime } from '../../src/runtime/node.ts';
import { listenOnNodeHttp } from '../../src/runtime/node-http.ts';
import { loadUws } from '../../src/runtime/node-uws.ts';
import { inFile, storeContract } from './registry.ts';
import { runtimeContract } from './runtime.ts';
import { machineContract } from './runtime-machine.ts';
import { realWorld } from './runtime-real.ts';
import { uwsThreadContract } from './runtime-uws.ts';

const isUwsJs = loadUws().uws !== null;

runtimeContract(isUwsJs ? 'node, uWebSockets.js' : 'node, without uWebSockets.js', () =>
  realWorld(createNodeRuntime(), 'uwebsockets', !isUwsJs),
);
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
  isUwsJs,
});

if (isUwsJs)
  uwsThreadContract(
    new URL('./runtime-thread.js', import.meta.url).href,
    new URL('./runtime-process.js', import.meta.url).href,
  );

// From Node 22.5 on.
const open = await databasesOf('node');
if (open !== null) storeContract('SQLite of node', inFile(createNodeRuntime(), open));
