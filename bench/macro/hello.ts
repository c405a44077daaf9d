// One listener of a runtime, answering every request with the same reply once its body is read: what a transport costs by itself.
// Started by transports.ts: `hello.ts uwebsockets|sockets|http`, on Node as a bundle. Promises: says its port in one line of JSON on stdout.
import { createRuntime } from '../../src/runtime/create.ts';
import type { ListenOptions, Reply, RequestHandler, Runtime } from '../../src/runtime/runtime.ts';
import { REPLY_BODY } from './call.ts';

const body = new TextEncoder().encode(REPLY_BODY);
const reply: Reply = { status: 200, headers: { 'content-type': 'application/json' }, body };

const answer: RequestHandler = (inbound) =>
  inbound.wholeBody !== null ? reply : inbound.readBody().then(() => reply);

async function listenOf(runtime: Runtime, transport: string): Promise<Runtime['listen']> {
  if (transport !== 'http') return runtime.listen;
  const { listenOnNodeHttp } = await import('../../src/runtime/node-http.ts');
  return (options, handler) => listenOnNodeHttp(options, handler, (thrown) => console.error(thrown));
}

const transport = process.argv[2] ?? '';
const listen = await listenOf(await createRuntime(), transport);
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
console.log(JSON.stringify({ port: listen(options, answer).port }));
