// What the echo servers answer: one JSON-RPC message in, its reply out, by cutting texts and never by parsing.
// Called by echo.ts and echo-stdio.ts. Promises: both eras; the text that a call carries comes back; the cost is a few hundred ns, so that
// what is measured is what stands in front. Messages are those of the benches and of the SDKs: no blanks, `"id":` and `"text":` only once.
import { META, METHOD } from '../../src/mcp/protocol.ts';

const SERVER = `{"name":"echo","version":"1.0.0"}`;
const MODERN_TAIL = `,"resultType":"complete","_meta":{"${META.serverInfo}":${SERVER}}`;
const CACHE = `,"ttlMs":0,"cacheScope":"private"`;
const METHOD_MARK = '"method":"';
const ID_MARK = '"id":';
const TEXT_MARK = '"text":"';
const VERSION_MARK = '"protocolVersion":"';

/** Tools of the list: echo, and others so that the list has the size of a usual one. */
const TOOL_COUNT = 10;
const TOOLS = JSON.stringify(
  Array.from({ length: TOOL_COUNT }, (_, n) => ({
    name: n === 0 ? 'echo' : `warehouse_tool_${n}`,
    description:
      n === 0 ? 'Answers with the text that it is given.' : `Looks up stock number ${n} in the warehouse.`,
    inputSchema: {
      type: 'object',
      properties: { text: { type: 'string', description: 'Any text' } },
      required: ['text'],
    },
  })),
);

/** The reply to a message, or null when it wants none (a notification, or a reply). */
export function answerTo(message: string): string | null {
  const id = idOf(message);
  const method = between(message, METHOD_MARK);
  if (id === null || method === null) return null;
  const tail = message.includes(META.protocolVersion) ? MODERN_TAIL : '';
  return `{"result":${resultOf(method, message, tail)},"jsonrpc":"2.0","id":${id}}`;
}

function resultOf(method: string, message: string, tail: string): string {
  switch (method) {
    case METHOD.toolsCall:
      return `{"content":[{"type":"text","text":"${between(message, TEXT_MARK) ?? ''}"}]${tail}}`;
    case METHOD.toolsList:
      return `{"tools":${TOOLS}${tail === '' ? '' : `${CACHE}${tail}`}}`;
    case METHOD.discover:
      return `{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}${CACHE}${MODERN_TAIL}}`;
    case METHOD.initialize: {
      const version = between(message, VERSION_MARK) ?? '2025-11-25';
      return `{"protocolVersion":"${version}","capabilities":{"tools":{}},"serverInfo":${SERVER}}`;
    }
    default:
      return tail === '' ? '{}' : `{${tail.slice(1)}}`;
  }
}

/** The text behind a mark, up to the next quote; null when the mark is not there. */
function between(message: string, mark: string): string | null {
  const at = message.indexOf(mark);
  return at < 0 ? null : message.slice(at + mark.length, message.indexOf('"', at + mark.length));
}

/** The id as it is spelled, or null. */
function idOf(message: string): string | null {
  const at = message.lastIndexOf(ID_MARK);
  if (at < 0) return null;
  const start = at + ID_MARK.length;
  let end = start;
  if (message[start] === '"') end = message.indexOf('"', start + 1) + 1;
  else while (end < message.length && message[end] !== ',' && message[end] !== '}') end++;
  return message.slice(start, end);
}
