// Merged lists keep every element's bytes but for the marked spans, and say what is missing.
// Run by `bun test`; pure, no sockets.
import { describe, expect, test } from 'bun:test';
import { encode, splice } from '../../../src/base/bytes.ts';
import {
  type MemberPages,
  MISSING_META,
  mergeCapabilities,
  nextCursor,
  type SelfInfo,
} from '../../../src/mcp/merge.ts';
import { mergeLists as joined } from '../../../src/mcp/merge-lists.ts';
import { type ListShape, listShape, notificationEdits, resultEdits } from '../../../src/mcp/rewrite.ts';
import { messageOf, textOf } from '../../fixtures/messages.ts';

const page = (result: string) => messageOf(`{"jsonrpc":"2.0","id":1,"result":${result}}`);
const shape = (method: string) => {
  const found = listShape(method, 'legacy');
  if (found === null) throw new Error('no shape');
  return found;
};

const mergeLists = (lists: readonly MemberPages[], shape: ListShape, self: SelfInfo | null): Uint8Array =>
  joined(lists, { shape, self, choice: null, pageSize: 0, from: null, cursorOf: () => '' }).result;

describe('mergeLists', () => {
  test('marks names, keeps spelling, order and unknown fields', () => {
    const a = page('{"tools":[{"name":"x", "z":1.0e2,"inputSchema":{"type":"object"}}],"nextCursor":"n"}');
    const b = page('{"tools":[{"unknown":{"name":"inner"},"name":"y"}]}');
    const merged = textOf(
      mergeLists(
        [
          { server: 's', pages: [a, b], fault: null },
          { server: 't', pages: [page('{"tools":[]}')], fault: null },
        ],
        shape('tools/list'),
        null,
      ),
    );
    expect(merged).toBe(
      '{"tools":[{"name":"s__x", "z":1.0e2,"inputSchema":{"type":"object"}},{"unknown":{"name":"inner"},"name":"s__y"}]}',
    );
  });

  test('modern results carry the smallest ttl and the narrowest scope', () => {
    const a = page(
      '{"resources":[{"uri":"a://1"}],"ttlMs":500,"cacheScope":"public","resultType":"complete"}',
    );
    const b = page(
      '{"resources":[{"uri":"b://1"}],"ttlMs":300,"cacheScope":"private","resultType":"complete"}',
    );
    const merged: unknown = JSON.parse(
      textOf(
        mergeLists(
          [
            { server: 's', pages: [a], fault: null },
            { server: 't', pages: [b], fault: null },
          ],
          shape('resources/list'),
          { name: 'sluice', version: '0' },
        ),
      ),
    );
    expect(merged).toEqual({
      resources: [{ uri: 's+a://1' }, { uri: 't+b://1' }],
      ttlMs: 300,
      cacheScope: 'private',
      resultType: 'complete',
      _meta: { 'io.modelcontextprotocol/serverInfo': { name: 'sluice', version: '0' } },
    });
  });

  test('a server that could not be asked is named, and nothing is cached', () => {
    const a = page('{"prompts":[{"name":"p"}],"ttlMs":500,"cacheScope":"public"}');
    const merged: unknown = JSON.parse(
      textOf(
        mergeLists(
          [
            { server: 's', pages: [a], fault: null },
            { server: 't', pages: [], fault: 'down' },
          ],
          shape('prompts/list'),
          { name: 'n', version: '0' },
        ),
      ),
    );
    expect(merged).toMatchObject({
      prompts: [{ name: 's__p' }],
      ttlMs: 0,
      _meta: { [MISSING_META]: { t: 'down' } },
    });
  });

  test('tool UIs keep pointing at their resource', () => {
    const tool = page(
      '{"tools":[{"name":"x","_meta":{"ui":{"resourceUri":"ui://a"},"ui/resourceUri":"ui://a"}}]}',
    );
    expect(textOf(mergeLists([{ server: 's', pages: [tool], fault: null }], shape('tools/list'), null))).toBe(
      '{"tools":[{"name":"s__x","_meta":{"ui":{"resourceUri":"s+ui://a"},"ui/resourceUri":"s+ui://a"}}]}',
    );
  });

  test('the empty cursor is a cursor, null is the end', () => {
    expect(textOf(nextCursor(page('{"tools":[],"nextCursor":""}')) ?? encode('none'))).toBe('""');
    expect(nextCursor(page('{"tools":[],"nextCursor":null}'))).toBeNull();
    expect(nextCursor(page('{"tools":[]}'))).toBeNull();
  });
});

describe('result and notification edits', () => {
  const apply = (method: string, result: string): string => {
    const message = page(result);
    return textOf(splice(message.bytes, resultEdits(message.bytes, message.envelope, method, 's')));
  };
  test('links and embedded resources of a call get the mark, nothing else', () => {
    expect(
      apply(
        'tools/call',
        '{"content":[{"type":"resource_link","uri":"a://1"},{"type":"resource","resource":{"uri":"a://2","text":"uri"}},{"type":"text","text":"a://3","uri":"no"}]}',
      ),
    ).toBe(
      '{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"resource_link","uri":"s+a://1"},{"type":"resource","resource":{"uri":"s+a://2","text":"uri"}},{"type":"text","text":"a://3","uri":"no"}]}}',
    );
  });
  test('prompts and reads', () => {
    expect(
      apply(
        'prompts/get',
        '{"messages":[{"role":"user","content":{"type":"resource","resource":{"uri":"a://1"}}}]}',
      ),
    ).toContain('"s+a://1"');
    expect(apply('resources/read', '{"contents":[{"uri":"a://1"},{"uri":"a://2"}]}')).toContain(
      '[{"uri":"s+a://1"},{"uri":"s+a://2"}]',
    );
    expect(apply('completion/complete', '{"completion":{"values":["uri"]}}')).toContain('{"values":["uri"]}');
  });
  test('task handles', () => {
    expect(apply('tools/call', '{"resultType":"task","taskId":"t1"}')).toContain('"taskId":"s+t1"');
    expect(apply('tools/call', '{"task":{"taskId":"t1"}}')).toContain('{"taskId":"s+t1"}');
    expect(apply('tasks/get', '{"taskId":"t1","status":"working"}')).toContain('"taskId":"s+t1"');
  });
  test('an updated resource', () => {
    const updated = messageOf(
      '{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a://1"}}',
    );
    expect(textOf(splice(updated.bytes, notificationEdits(updated.bytes, updated.envelope, 's')))).toContain(
      '"uri":"s+a://1"',
    );
    const other = messageOf('{"jsonrpc":"2.0","method":"notifications/message","params":{"uri":"a://1"}}');
    expect(notificationEdits(other.bytes, other.envelope, 's')).toEqual([]);
  });
});

test('capabilities are joined', () => {
  expect(
    mergeCapabilities([
      { tools: { listChanged: false } },
      { tools: { listChanged: true }, logging: {} },
      { x: 1 },
    ]),
  ).toEqual({
    tools: { listChanged: true },
    logging: {},
    x: 1,
  });
});
