// Filters and messages of subscriptions/listen.
// Runs mcp/subscriptions.ts.
import { describe, expect, test } from 'bun:test';
import { decode, encode } from '../../../src/base/bytes.ts';
import {
  acknowledgement,
  covers,
  honourable,
  listenNotification,
  tagged,
} from '../../../src/mcp/subscriptions.ts';
import { messageOf } from '../../fixtures/messages.ts';

const ID = encode('"l"');
const TAG = { 'io.modelcontextprotocol/subscriptionId': 'l' };
const ALL = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { listChanged: true, subscribe: true },
};

const listen = (notifications: unknown) =>
  messageOf(
    JSON.stringify({ jsonrpc: '2.0', id: 'l', method: 'subscriptions/listen', params: { notifications } }),
  );

describe('what can be honoured', () => {
  const asked = {
    toolsListChanged: true,
    promptsListChanged: true,
    resourcesListChanged: false,
    resourceSubscriptions: ['a://1', 'a://2', 'a://1', 7],
    taskIds: ['t'],
    other: true,
  };
  const rows: readonly [string, unknown, unknown, readonly string[], readonly string[]][] = [
    ['everything declared', asked, ALL, ['toolsListChanged', 'promptsListChanged'], ['a://1', 'a://2']],
    ['nothing declared', asked, {}, [], []],
    ['no capabilities at all', asked, undefined, [], []],
    [
      'declared without changes',
      asked,
      { tools: {}, prompts: { listChanged: false }, resources: {} },
      [],
      [],
    ],
    ['resources only', asked, { resources: { subscribe: true } }, [], ['a://1', 'a://2']],
    ['nothing asked', {}, ALL, [], []],
    ['a filter that is none', [1], ALL, [], []],
    ['flags that are no booleans', { toolsListChanged: 'true', resourceSubscriptions: 'a://1' }, ALL, [], []],
  ];
  for (const [what, filter, capabilities, flags, uris] of rows)
    test(what, () => expect(honourable(listen(filter), capabilities)).toEqual({ flags, uris }));
});

test('the acknowledgement says what was granted', () => {
  expect(JSON.parse(decode(acknowledgement(ID, { flags: ['toolsListChanged'], uris: ['a://1'] })))).toEqual({
    jsonrpc: '2.0',
    method: 'notifications/subscriptions/acknowledged',
    params: { notifications: { toolsListChanged: true, resourceSubscriptions: ['a://1'] }, _meta: TAG },
  });
  expect(JSON.parse(decode(acknowledgement(encode('7'), { flags: [], uris: [] }))).params).toEqual({
    notifications: {},
    _meta: { 'io.modelcontextprotocol/subscriptionId': 7 },
  });
});

test('a notification of our own', () => {
  expect(JSON.parse(decode(listenNotification(ID, 'm', {}))).params).toEqual({ _meta: TAG });
  expect(JSON.parse(decode(listenNotification(ID, 'm', { uri: '"' }))).params).toEqual({
    uri: '"',
    _meta: TAG,
  });
});

describe('a server’s notification keeps its bytes but for the tag', () => {
  const key = '"io.modelcontextprotocol/subscriptionId"';
  const rows: readonly [string, string, string][] = [
    [
      'no params',
      '{"method":"m" ,"jsonrpc":"2.0"}',
      `{"method":"m","params":{"_meta":{${key}:"l"}} ,"jsonrpc":"2.0"}`,
    ],
    [
      'empty params',
      '{"jsonrpc":"2.0","method":"m","params":{ }}',
      `{"jsonrpc":"2.0","method":"m","params":{"_meta":{${key}:"l"} }}`,
    ],
    [
      'params',
      '{"jsonrpc":"2.0","method":"m","params":{"uri":"a:\\u002f" , "x":1.0}}',
      `{"jsonrpc":"2.0","method":"m","params":{"uri":"a:\\u002f" , "x":1.0,"_meta":{${key}:"l"}}}`,
    ],
    [
      'a _meta',
      '{"jsonrpc":"2.0","method":"m","params":{"_meta":{"k":1e2}}}',
      `{"jsonrpc":"2.0","method":"m","params":{"_meta":{"k":1e2,${key}:"l"}}}`,
    ],
    [
      'a tag of its own',
      `{"jsonrpc":"2.0","method":"m","params":{"_meta":{${key}:9}}}`,
      `{"jsonrpc":"2.0","method":"m","params":{"_meta":{${key}:"l"}}}`,
    ],
    [
      'a _meta that is none',
      '{"jsonrpc":"2.0","method":"m","params":{"_meta":null}}',
      `{"jsonrpc":"2.0","method":"m","params":{"_meta":{${key}:"l"}}}`,
    ],
    [
      'params by position',
      '{"jsonrpc":"2.0","method":"m","params":[1]}',
      `{"jsonrpc":"2.0","method":"m","params":{"_meta":{${key}:"l"}}}`,
    ],
  ];
  for (const [what, from, to] of rows) test(what, () => expect(decode(tagged(messageOf(from), ID))).toBe(to));
});

test('an update may be of something beneath what was subscribed to', () => {
  expect(covers('a://x', 'a://x')).toBe(true);
  expect(covers('a://x', 'a://x/y')).toBe(true);
  expect(covers('a://x/', 'a://x/y')).toBe(true);
  expect(covers('a://x', 'a://xy')).toBe(false);
  expect(covers('a://x/y', 'a://x')).toBe(false);
});
