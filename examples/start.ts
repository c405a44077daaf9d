// What `npm start` runs: the demo server over HTTP and, in front of it, the gateway with examples/sluice.yaml.
// Started by bin/sluice, which names the program to start (the bundle, or the sources that are newer), or by itself: then the sources. Promises: one process, so that
// everything ends with it; the gateway is not kept waiting for the demo, whose port answers at once and whose code is loaded with its first request.
import { resolve } from 'node:path';

const demo = Bun.serve({
  hostname: '127.0.0.1',
  port: Number(process.env.DEMO_HTTP_PORT ?? 0),
  idleTimeout: 0,
  fetch: async (request) => (await import('./demo-http.ts')).answer(request),
});
process.env.DEMO_HTTP_URL = `${demo.url}mcp`;
// Meant for this process alone, not for a gateway that a server of the configuration may start.
process.env.SLUICE_ENTRY = '';
const place = resolve(process.env.SLUICE_MAIN ?? `${import.meta.dir}/../src/main.ts`);
// Either of the two is src/main.ts.
const { main } = (await import(place)) as typeof import('../src/main.ts');
await main(['serve', '--config', `${import.meta.dir}/sluice.yaml`, '--welcome', ...process.argv.slice(2)]);
