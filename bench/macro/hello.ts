// One listener of a runtime, answering every request with the same reply once its body is read, or with that of a server behind it: what a transport costs by itself.
// Started by transports.ts: `hello.ts uwebsockets|sockets|http [SERVER]`, on Node as a bundle. Promises: says its port in one line of JSON on stdout.
import { createRuntime } from '../../src/runtime/create.ts';
import type { ListenOptions, Reply, RequestHandler, Runtime } from '../../src/runtime/runtime.ts';
import { REPLY_BODY } from './call.ts';
import { createRelay } from './relay.ts';

const body = new TextEncoder().encode(REPLY_BODY);
const reply: Reply = { status: 200, headers: { 'content-type': 'application/json' }, body };

function handlerOf(runtime: Runtime, upstream: string | undefined): RequestHandler {
  if (upstream === undefined)
    return (inbound) => (inbound.wholeBody !== null ? reply : inbound.readBody().then(() => reply));
  const relay = createRelay(runtime, new URL(upstream));
  return (inbound) => {
    const { wholeBody } = inbound;
    return wholeBody !== null ? relay(wholeBody) : inbound.readBody().then(relay);
  };
}

async function listenOf(runtime: Runtime, transport: string): Promise<Runtime['listen']> {
  if (transport !== 'http') return runtime.listen;
  const { listenOnNodeHttp } = await import('../../src/runtime/node-http.ts');
  return (options, handler) => listenOnNodeHttp(options, handler, (thrown) => console.error(thrown));
}

const [, , transport = '', upstream] = process.argv;
const runtime = await createRuntime();
const listen = await listenOf(runtime, transport);
const options: ListenOptions = {
  transport: transport === 'sockets' ? 'sockets' : 'uwebsockets',
  host: '127.0.0.1',
  port: 0,
  reusePort: false,
  bodyBytesMax: 4 * 1024 * 1024,
  idleTimeoutMs: 60_000,
  tls: null,
  http2: false,
  http3: false,
};
console.log(JSON.stringify({ port: listen(options, handlerOf(runtime, upstream)).port }));
