// Which answers of a legacy server say that it does not know the session, and which speak of something else.
// Runs mcp/lost-session.ts over what servers in the field write.
import { describe, expect, test } from 'bun:test';
import { encode } from '../../../src/base/bytes.ts';
import { LIMITS } from '../../../src/base/limits.ts';
import { isLostSession, isLostStream, mayBeLost, refusalWords } from '../../../src/mcp/lost-session.ts';

const error = (code: unknown, message: unknown, id: unknown = null): string =>
  JSON.stringify({ jsonrpc: '2.0', id, error: { code, message } });

describe('a refused message', () => {
  const rows: readonly [string, number, string, boolean][] = [
    ['404 with nothing', 404, '', true],
    ['404 with text', 404, 'Could not find session', true],
    ['404 with a page', 404, '<html>Not Found</html>', true],
    ['404 with an error about the session', 404, error(-32001, 'Session not found'), true],
    ['404 with an error of no code that anybody knows', 404, error(-32603, 'Session not found: 7'), true],
    ['404 with an error under the id of the request', 404, error(-32001, 'Session not found', 7), true],
    ['404 about the method', 404, error(-32601, 'Method not found', 7), false],
    ['410', 410, '', true],
    ['400 as the SDKs say it', 400, error(-32000, 'Bad Request: No valid session ID provided'), true],
    [
      '400 of a server that was started anew',
      400,
      error(-32000, 'Bad Request: Server not initialized'),
      true,
    ],
    ['400 with the code of 404', 400, error(-32001, 'Session not found'), true],
    ['400 with a code of its own', 400, error(7, 'unknown session'), true],
    ['400 about something else', 400, error(-32000, 'Bad Request: Unsupported protocol version'), false],
    ['400 of a call that broke', 400, error(-32000, 'Connection closed'), false],
    ['400 about the message', 400, error(-32600, 'Invalid Request: session', 7), false],
    ['400 about an argument', 400, error(-32602, 'session: required', 7), false],
    ['400 about a resource', 400, error(-32002, 'Resource not found: session://1', 7), false],
    ['400 about a session, in an error without a code', 400, '{"error":{"message":"Invalid session"}}', true],
    ['400 in words', 400, 'Bad Request: No valid session ID provided', true],
    ['400 in words of HTTP+SSE', 400, 'No transport found for sessionId', true],
    ['400 in other words of HTTP+SSE', 400, 'SSE connection not established', true],
    ['400 in words about something else', 400, 'Invalid message: {"id":null}', false],
    ['400 with a page', 400, ' <html>The connection was refused</html>', false],
    ['400 with nothing', 400, '', false],
    ['400 with JSON that is cut', 400, '{"error":{"code":-32000,"mess', false],
    ['400 with a book', 400, 'session '.repeat(LIMITS.initializeBytesMax / 8 + 1), false],
    ['400 that says it late', 400, `${'x'.repeat(2_000)} session`, false],
    ['401', 401, error(-32001, 'session'), false],
    ['500', 500, 'session', false],
    ['200', 200, error(-32001, 'Session not found', 7), false],
  ];
  test.each(rows)('%s', (_what, status, body, isLost) => {
    expect(isLostSession(status, encode(body))).toBe(isLost);
    if (isLost) expect(mayBeLost(status, 'json')).toBe(true);
  });

  test('an answer that is a stream is not held back for what it may say', () => {
    expect(mayBeLost(400, 'event-stream')).toBe(false);
    expect(mayBeLost(200, 'json')).toBe(false);
  });

  test('what it says is told', () => {
    expect(refusalWords(encode(error(-32000, 'full')))).toEqual({ code: -32000, words: 'full' });
    expect(refusalWords(encode(error('x', 7)))).toEqual({ code: null, words: '' });
    expect(refusalWords(encode(' full '))).toEqual({ code: null, words: 'full' });
    expect(refusalWords(encode('[1]'))).toEqual({ code: null, words: '[1]' });
  });
});

test('a stream that was open before is refused for the session’s sake', () => {
  expect([400, 404, 410].map(isLostStream)).toEqual([true, true, true]);
  expect([200, 401, 405, 409, 500].map(isLostStream)).toEqual([false, false, false, false, false]);
});
