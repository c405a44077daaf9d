// The table of what a server's answers say about its eras.
// Runs bridge/era-verdict.ts.
import { describe, expect, test } from 'bun:test';
import { type ErrorCode, GatewayError } from '../../../src/base/errors.ts';
import { isSuspect, judgeDiscover, judgeInitialize, judgeSilence } from '../../../src/bridge/era-verdict.ts';

const error = (code: number, data?: unknown): object => ({
  jsonrpc: '2.0',
  id: null,
  error: { code, message: '', data },
});
const result = (value: object): object => ({ jsonrpc: '2.0', id: 'sluice:era', result: value });
const MODERN_ONLY = { supported: ['2026-07-28'] };
const LEGACY_ONLY = { supported: ['2025-11-25', '2025-06-18'] };

describe('server/discover', () => {
  // What, status, message; verdict over HTTP and of a process.
  const rows: readonly [string, number, unknown, string, string][] = [
    ['a DiscoverResult', 200, result({ supportedVersions: ['2026-07-28'] }), 'modern', 'modern'],
    ['one of a later revision', 200, result({ supportedVersions: ['2027-01-01'] }), 'modern', 'modern'],
    ['one of legacy versions only', 200, result({ supportedVersions: ['2025-11-25'] }), 'legacy', 'legacy'],
    ['one without versions', 200, result({ resultType: 'complete', capabilities: {} }), 'modern', 'modern'],
    ['an empty result', 200, result({}), 'legacy', 'legacy'],
    ['-32022 with modern versions', 400, error(-32022, MODERN_ONLY), 'modern', 'modern'],
    ['the same with 200', 200, error(-32022, MODERN_ONLY), 'modern', 'modern'],
    ['-32022 with legacy versions', 400, error(-32022, LEGACY_ONLY), 'legacy', 'legacy'],
    ['-32022 with nothing', 400, error(-32022), 'legacy', 'modern'],
    ['-32601', 200, error(-32601), 'legacy', 'legacy'],
    ['-32601 with 404', 404, error(-32601), 'legacy', 'legacy'],
    ['-32000, as of a v1 server with sessions', 400, error(-32000), 'legacy', 'legacy'],
    ['-32020, which a probe never earns', 400, error(-32020), 'legacy', 'legacy'],
    ['-32603', 200, error(-32603), 'legacy', 'legacy'],
    ['400 with a page', 400, null, 'legacy', 'legacy'],
    ['404 with a page', 404, null, 'legacy', 'legacy'],
    ['405', 405, null, 'legacy', 'legacy'],
    ['406', 406, null, 'legacy', 'legacy'],
    ['400 with JSON of its own', 400, { error: 'bad' }, 'legacy', 'legacy'],
    ['401', 401, null, 'none', 'none'],
    ['401 with a JSON-RPC error', 401, error(-32000), 'none', 'none'],
    ['403', 403, error(-32022, MODERN_ONLY), 'none', 'none'],
    ['407', 407, null, 'none', 'none'],
    ['408', 408, null, 'none', 'none'],
    ['429', 429, null, 'none', 'none'],
    ['500', 500, error(-32603), 'none', 'none'],
    ['502', 502, null, 'none', 'none'],
    ['a redirect', 302, null, 'none', 'none'],
    ['a page', 200, null, 'none', 'none'],
    ['accepted, and nothing else', 202, null, 'none', 'none'],
    ['a number', 200, 7, 'none', 'none'],
  ];
  for (const [what, status, message, http, stdio] of rows)
    test(what, () => {
      expect([judgeDiscover(false, status, message), judgeDiscover(true, status, message)]).toEqual([
        http,
        stdio,
      ] as never);
    });
});

describe('no reply to server/discover', () => {
  const rows: readonly [ErrorCode, string, string][] = [
    ['GW_UPSTREAM_EXITED', 'none', 'silent'],
    ['GW_UPSTREAM_TIMEOUT', 'none', 'silent'],
    ['GW_UPSTREAM_SPAWN', 'none', 'none'],
    ['GW_UPSTREAM_BACKOFF', 'none', 'none'],
    ['GW_UPSTREAM_BUSY', 'none', 'none'],
    ['GW_UPSTREAM_OPEN', 'none', 'none'],
    ['GW_UPSTREAM_CONNECT', 'none', 'none'],
    ['GW_UPSTREAM_CLOSED', 'none', 'none'],
    ['GW_UPSTREAM_CLOSING', 'none', 'none'],
    ['GW_PEER_DOWN', 'none', 'none'],
    ['GW_PEER_LOST', 'none', 'none'],
  ];
  for (const [code, http, stdio] of rows)
    test(code, () => {
      const failure = new GatewayError(code);
      expect([judgeSilence(false, failure), judgeSilence(true, failure)] as string[]).toEqual([http, stdio]);
    });
});

describe('initialize', () => {
  const rows: readonly [string, number, unknown, string][] = [
    ['a result', 200, result({ protocolVersion: '2025-11-25' }), 'accepted'],
    ['-32022 of a modern-only server', 400, error(-32022, MODERN_ONLY), 'modern-only'],
    ['-32022 that names no versions', 200, error(-32022), 'modern-only'],
    ['-32022 of a server that speaks legacy as well', 400, error(-32022, LEGACY_ONLY), 'other'],
    ['-32601', 404, error(-32601), 'modern-only'],
    ['-32601 with 200', 200, error(-32601), 'modern-only'],
    ['-32602', 400, error(-32602), 'doubtful'],
    ['-32602 with 200', 200, error(-32602), 'doubtful'],
    ['-32600', 400, error(-32600), 'doubtful'],
    ['-32020', 400, error(-32020), 'doubtful'],
    ['-32000 with 400', 400, error(-32000), 'doubtful'],
    ['-32000 with 200', 200, error(-32000), 'other'],
    ['-32603', 200, error(-32603), 'other'],
    ['404 with a page', 404, null, 'modern-only'],
    ['405', 405, null, 'modern-only'],
    ['400 with a page', 400, null, 'doubtful'],
    ['413', 413, null, 'other'],
    ['401', 401, null, 'other'],
    ['403', 403, error(-32022, MODERN_ONLY), 'other'],
    ['429', 429, null, 'other'],
    ['500', 500, error(-32601), 'other'],
    ['a page', 200, null, 'other'],
  ];
  for (const [what, status, message, verdict] of rows)
    test(what, () => {
      expect<string>(judgeInitialize(status, message)).toBe(verdict);
    });
});

describe('replies to a modern request that a modern server would hardly give', () => {
  const rows: readonly [string, number, unknown, boolean][] = [
    ['a result', 200, result({}), false],
    ['-32602 in band', 200, error(-32602), false],
    ['-32601 with 404', 404, error(-32601), false],
    ['-32601 in band', 200, error(-32601), true],
    ['-32020', 400, error(-32020), false],
    ['-32021', 400, error(-32021), false],
    ['-32022', 400, error(-32022), false],
    ['-32000 with 400', 400, error(-32000), true],
    ['-32001 with 404', 404, error(-32001), true],
    ['404 with a page', 404, null, true],
    ['405', 405, null, true],
    ['401', 401, null, false],
    ['500', 500, null, false],
    ['202', 202, null, false],
  ];
  for (const [what, status, message, expected] of rows)
    test(what, () => expect(isSuspect(status, message)).toBe(expected));
});
