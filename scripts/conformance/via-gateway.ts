// Puts a gateway between a server of the conformance suite and a client: `bun via-gateway.ts CLIENT ARGUMENT… URL`.
// Started by the suite as the client under test. Promises: the client gets the gateway's URL in place of the server's, and the suite the client's exit
// code; the gateway has ended before this process does.
import { startGateway, stopAll } from '../../test/fixtures/harness.ts';

const command = process.argv.slice(2, -1);
const url = process.argv.at(-1) ?? '';
if (command.length === 0) {
  console.error('via-gateway: usage: via-gateway.ts CLIENT ARGUMENT… URL');
  process.exit(2);
}
const gateway = await startGateway({ suite: { url } }, { workers: 1 });
const client = Bun.spawn([...command, `${gateway.url}/mcp/suite`], {
  stdin: 'ignore',
  stdout: 'inherit',
  stderr: 'inherit',
});
const code = await client.exited;
await stopAll();
if (code !== 0) console.error(gateway.stderr());
process.exit(code);
