// What `npm start` runs: the demo server over HTTP and, in front of it, the gateway with examples/sluice.yaml.
// Promises: one process, so that everything ends with it; the gateway is not kept waiting for the demo, whose port
// answers at once and whose code is loaded with its first request.
import { main } from '../src/main.ts';

const demo = Bun.serve({
  hostname: '127.0.0.1',
  port: Number(process.env.DEMO_HTTP_PORT ?? 0),
  idleTimeout: 0,
  fetch: async (request) => (await import('./demo-http.ts')).answer(request),
});
process.env.DEMO_HTTP_URL = `${demo.url}mcp`;
await main(['serve', '--config', `${import.meta.dir}/sluice.yaml`, '--welcome', ...process.argv.slice(2)]);
