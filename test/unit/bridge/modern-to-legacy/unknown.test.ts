// What nobody has heard of, from a modern client to a legacy server and back: it passes where the other side can read it.
// Runs the face of bridge/modern-to-legacy over a scripted server on a simulated clock.
import { describe, expect, test } from 'bun:test';
import { decode } from '../../../../src/base/bytes.ts';
import { eventOf, json } from '../../../fixtures/lab.ts';
import { done, ModernRig, streamOf } from '../../../fixtures/modern-rig.ts';

describe('what nobody has heard of', () => {
  test('a notification of a call reaches its client byte for byte, one of a task of the other era does not', async () => {
    const vendor =
      '{"vendor":1.0,"jsonrpc":"2.0", "method":"notifications/vendor","params":{"n":1e2,"_meta":{"v/k":[]}}}';
    const status = {
      jsonrpc: '2.0',
      method: 'notifications/tasks/status',
      params: { taskId: 't', status: 'working' },
    };
    const rig = new ModernRig({
      script: (message) =>
        message.method === 'tools/call'
          ? streamOf([eventOf(vendor), eventOf(status), eventOf(done(message))])
          : undefined,
    });
    const client = await rig.call('t');
    expect(client.text).toContain(`data: ${vendor}\n`);
    expect(client.messages.map(({ method }) => method)).toEqual(['notifications/vendor', undefined]);
  });

  test('members of a request and of its result keep their spelling; only the protocol’s own keys of _meta go', async () => {
    const rig = new ModernRig({
      script: (message) =>
        message.method === 'tools/call'
          ? json(
              `{"vendor":1.0,"jsonrpc":"2.0","id":${message.id},"result":{"content":[], "vendor":{"n":1E2},"_meta":{"v/k":1.0}}}`,
            )
          : undefined,
    });
    const client = await rig.call('t', { meta: { 'v/k': [1] } }, { vendor: { a: 1 }, task: { ttl: 1 } });
    expect(rig.asked('tools/call')[0]?.params).toEqual({
      name: 't',
      arguments: { a: 1 },
      vendor: { a: 1 },
      task: { ttl: 1 },
      _meta: { 'v/k': [1] },
    });
    expect(client.text).toContain('"vendor":{"n":1E2}');
    expect(client.text).toContain('"v/k":1.0');
  });

  test('capabilities pass both ways, but for tasks, whose two forms have no message in common', async () => {
    const extensions = { 'v/ext': { a: 1 }, 'io.modelcontextprotocol/tasks': {} };
    const rig = new ModernRig({
      capabilities: { tools: {}, tasks: { list: {} }, vendor: { b: 1 }, extensions },
    });
    const client = await rig.ask('server/discover', {}, { capabilities: { extensions, sampling: {} } });
    expect(client.result.capabilities).toEqual({
      tools: {},
      vendor: { b: 1 },
      extensions: { 'v/ext': { a: 1 } },
    });
    expect(rig.asked('initialize')[0]?.params?.capabilities).toEqual({
      sampling: {},
      extensions: { 'v/ext': { a: 1 } },
    });
  });

  test.each(['tasks/get', 'tasks/update', 'tasks/cancel', 'tasks/list', 'tasks/result'])(
    '%s is no method here, and reaches nobody',
    async (method) => {
      const rig = new ModernRig();
      const client = await rig.ask(method, { taskId: 't' });
      expect(client.error?.code).toBe('GW_MCP_METHOD');
      expect(rig.fake.sent.map(({ body }) => decode(body))).toEqual([]);
    },
  );
});
