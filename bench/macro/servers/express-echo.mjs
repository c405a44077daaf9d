// The echo call as an Express server.
// Started by other-servers.ts as `node express-echo.mjs PORT FOLDER`, FOLDER being where Express is installed. Promises: parses the MCP call as
// JSON and answers with JSON, as one would write it.
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [port, folder] = process.argv.slice(2);
const express = createRequire(join(folder, 'package.json'))('express');
const app = express();
app.use(express.json());
app.post('/mcp', (request, response) => {
  const { id, params } = request.body;
  const content = [{ type: 'text', text: params.arguments.text }];
  response.json({ jsonrpc: '2.0', id, result: { content, resultType: 'complete' } });
});
app.listen(Number(port), '127.0.0.1');
