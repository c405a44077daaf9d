// The one call that the macro benches make: a modern tools/call as an SDK client would send it, about 330 bytes.
// Called by the load (wrk.ts, client.ts) and by the echo upstream. Promises: the same bytes each time, with every
// header that the 2026-07-28 transport asks for, so that a gateway has all of its checks to do.

/** Protocol version that the call speaks. */
const VERSION = '2026-07-28';

/** Name of the tool called. */
const TOOL = 'echo';

/** The request's body. */
export const CALL_BODY = JSON.stringify({
  method: 'tools/call',
  params: {
    name: TOOL,
    arguments: { text: 'The quick brown fox jumps over the lazy dog' },
    _meta: {
      'io.modelcontextprotocol/protocolVersion': VERSION,
      'io.modelcontextprotocol/clientInfo': { name: 'sluice-bench', version: '1.0.0' },
      'io.modelcontextprotocol/clientCapabilities': {},
    },
  },
  jsonrpc: '2.0',
  id: 1,
});

/** The request's headers besides Host and Content-Length. */
export const CALL_HEADERS: Readonly<Record<string, string>> = {
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
  'mcp-protocol-version': VERSION,
  'mcp-method': 'tools/call',
  'mcp-name': TOOL,
};

/** The reply's body: what the echo upstream answers to CALL_BODY. */
export const REPLY_BODY = JSON.stringify({
  result: {
    content: [{ type: 'text', text: 'The quick brown fox jumps over the lazy dog' }],
    resultType: 'complete',
    _meta: { 'io.modelcontextprotocol/serverInfo': { name: 'echo', version: '1.0.0' } },
  },
  jsonrpc: '2.0',
  id: 1,
});
