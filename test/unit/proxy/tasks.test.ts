// Tasks of both revisions on an aggregated endpoint: every id bears its server's mark outwards and loses it inwards, wherever it stands.
// Runs proxy/aggregate-*.ts, listen.ts, bridge/questions.ts and mcp/rewrite.ts over fake upstreams on a simulated clock.
// Sources: MCP 2025-11-25, tasks; the tasks extension of 2026-07-28.
import { describe, expect, test } from 'bun:test';
import type { FakeReply, FakeSent } from '../../../src/upstream/fake.ts';
import { eventOf, eventStream, json, jsonOf, Lab, legacyScript } from '../../fixtures/lab.ts';
import type { Rpc } from '../../fixtures/legacy-server.ts';
import { headerOf } from '../../fixtures/modern-rig.ts';

const RELATED = 'io.modelcontextprotocol/related-task';
const TAG = 'io.modelcontextprotocol/subscriptionId';
const related = (taskId: string): object => ({ [RELATED]: { taskId } });
const LINK = { type: 'resource_link', uri: 'm://1', name: 'n' };
const MARKED_LINK = { ...LINK, uri: 'b+m://1' };
const answer = (message: Rpc, result: object): FakeReply => json({ jsonrpc: '2.0', id: message.id, result });

/** Answers every request with one result. */
const always = (result: object) => (sent: FakeSent) => answer(jsonOf(sent.body), result);

describe('the extension of 2026-07-28', () => {
  const lab = (result: object): Lab => new Lab({ servers: { a: always({}), b: always(result) } });

  test('a handle in the place of any result bears the mark; what else it says keeps its bytes', async () => {
    const made = lab({
      resultType: 'task',
      taskId: 't 1',
      status: 'working',
      ttlMs: 1.0,
      x: { taskId: 'x' },
    });
    const seen = [
      made.modern(1, 'tools/call', { name: 'b__t' }),
      made.modern(2, 'prompts/get', { name: 'b__p' }),
      made.modern(3, 'resources/read', { uri: 'b+m://1' }),
    ];
    await made.sim.advance(10);
    for (const one of seen)
      expect(one.text).toContain(
        '{"resultType":"task","taskId":"b+t 1","status":"working","ttlMs":1,"x":{"taskId":"x"}}',
      );
  });

  test.each(['tasks/get', 'tasks/update', 'tasks/cancel'])(
    '%s goes to its server, header included',
    async (method) => {
      const made = lab({
        resultType: 'complete',
        taskId: 't+é',
        status: 'completed',
        result: { content: [LINK], structuredContent: { taskId: 't+é' } },
      });
      const params = { taskId: 'b+t+é', inputResponses: { taskId: 'b+t' } };
      const seen = made.modern(1, method, params, { mcpName: '=?base64?Yit0K8Op?=' });
      await made.sim.advance(10);
      const [sent] = made.asked('b', method);
      if (sent === undefined) throw new Error(`refused: ${seen.text}`);
      expect(jsonOf(sent.body).params).toMatchObject({ taskId: 't+é', inputResponses: { taskId: 'b+t' } });
      expect(headerOf(sent, 'mcp-name')).toBe('=?base64?dCvDqQ==?=');
      expect(seen.json.result).toEqual({
        resultType: 'complete',
        taskId: 'b+t+é',
        status: 'completed',
        result: { content: [MARKED_LINK], structuredContent: { taskId: 't+é' } },
      });
      expect(made.fake('a').sent.length).toBe(0);
    },
  );

  test('a server’s refusal passes as it is, status and data included', async () => {
    const error = {
      code: -32021,
      message: 'no',
      data: { requiredCapabilities: { extensions: { 'io.modelcontextprotocol/tasks': {} } } },
    };
    const made = new Lab({
      servers: { a: (sent) => json({ jsonrpc: '2.0', id: jsonOf(sent.body).id, error }, { status: 400 }) },
    });
    const seen = made.modern(1, 'tasks/get', { taskId: 'a+t' }, { mcpName: 'a+t' });
    await made.sim.advance(10);
    expect([seen.status, seen.json]).toEqual([400, { jsonrpc: '2.0', id: 1, error }]);
  });

  test('an id without a mark is refused as an unknown task is; methods that the extension lacks do not exist', async () => {
    const made = lab({});
    const lost = made.modern(1, 'tasks/get', { taskId: 't' }, { mcpName: 't' });
    const list = made.modern(2, 'tasks/list');
    await made.sim.advance(10);
    expect([lost.status, lost.json.error]).toMatchObject([
      200,
      { code: -32602, message: expect.stringContaining('a+id'), data: { gw: 'GW_ROUTE_TASK' } },
    ]);
    expect([list.status, list.json.error?.code]).toEqual([404, -32601]);
    expect(list.json.error?.message).toContain('/mcp/<name>');
  });

  test('a listen asks each server for its own tasks, and tells of all of them', async () => {
    const listening = (taskIds: readonly string[], more: readonly object[] = []): FakeReply => {
      const ack = { notifications: { toolsListChanged: true, ...(taskIds.length > 0 && { taskIds }) } };
      const messages = [
        { method: 'notifications/subscriptions/acknowledged', params: { ...ack, _meta: { [TAG]: 9 } } },
        ...more,
      ];
      return eventStream(
        messages.map((message) => eventOf({ jsonrpc: '2.0', ...message })),
        { hang: true },
      );
    };
    const changed = {
      method: 'notifications/tasks',
      params: { taskId: 't1', status: 'completed', result: { content: [LINK] }, _meta: { [TAG]: 9 } },
    };
    const made = new Lab({
      servers: {
        a: () => listening(['t1', 't2']),
        b: () => listening(['t1'], [changed]),
        c: () => listening([]),
      },
    });
    const filter = { toolsListChanged: true, taskIds: ['a+t1', 'b+t1', 'a+t2', 'zz+t9', 't'] };
    const seen = made.modern(9, 'subscriptions/listen', { notifications: filter });
    await made.sim.advance(10);
    const asked = (name: string): unknown => jsonOf(made.fake(name).sent[0]?.body ?? new Uint8Array()).params;
    expect(asked('a')).toMatchObject({ notifications: { toolsListChanged: true, taskIds: ['t1', 't2'] } });
    expect(asked('b')).toMatchObject({ notifications: { toolsListChanged: true, taskIds: ['t1'] } });
    expect(asked('c')).toHaveProperty('notifications', { toolsListChanged: true });
    expect(seen.events[0]?.params?.notifications).toEqual({
      toolsListChanged: true,
      taskIds: ['a+t1', 'a+t2', 'b+t1'],
    });
    expect(seen.events[1]).toEqual({
      jsonrpc: '2.0',
      ...changed,
      params: { ...changed.params, taskId: 'b+t1', result: { content: [MARKED_LINK] } },
    });
  });
});

describe('tasks of 2025-11-25', () => {
  const CAPABILITIES = { list: {}, cancel: {}, requests: { tools: { call: {} } } };

  /** A server with sessions that has tasks; `rest` answers what is not initialize. */
  function tasked(name: string, rest: (message: Rpc, sent: FakeSent) => FakeReply) {
    const script = legacyScript(name, rest);
    return (sent: FakeSent, index: number): FakeReply => {
      const reply = script(sent, index);
      const isFirst = sent.verb === 'POST' && jsonOf(sent.body).method === 'initialize';
      if (!isFirst || typeof reply.body !== 'string') return reply;
      const told = JSON.parse(reply.body) as { result: { capabilities: Record<string, unknown> } };
      told.result.capabilities.tasks = CAPABILITIES;
      return { ...reply, body: JSON.stringify(told) };
    };
  }
  const send = (lab: Lab, session: string, method: string, params: object) =>
    lab.post({ jsonrpc: '2.0', id: 1, method, params }, { session });

  test('capabilities of all servers are declared', async () => {
    const lab = new Lab({ servers: { a: legacyScript('a'), b: tasked('b', () => ({})) } });
    const seen = lab.post({
      ...{ jsonrpc: '2.0', id: 0, method: 'initialize' },
      params: {
        protocolVersion: '2025-11-25',
        capabilities: { tasks: { requests: { elicitation: { create: {} } } }, x: 1 },
        clientInfo: { name: 't', version: '1' },
      },
    });
    await lab.sim.advance(10);
    expect(seen.json.result).toMatchObject({ capabilities: { tools: {}, tasks: CAPABILITIES } });
    expect(lab.asked('b', 'initialize').map((sent) => jsonOf(sent.body).params)).toMatchObject([
      { capabilities: { tasks: { requests: { elicitation: { create: {} } } }, x: 1 } },
    ]);
  });

  test('a call that becomes a task: its handle bears the mark, its wish passes', async () => {
    const made = { task: { taskId: 't1', status: 'working', ttl: 60_000 }, _meta: related('t1') };
    const lab = new Lab({ servers: { b: tasked('b', (message) => answer(message, made)) } });
    const session = await lab.initialize();
    const seen = send(lab, session, 'tools/call', { name: 'b__t', task: { ttl: 60_000 } });
    await lab.sim.advance(10);
    expect(jsonOf(lab.asked('b', 'tools/call')[0]?.body ?? new Uint8Array()).params).toEqual({
      name: 't',
      task: { ttl: 60_000 },
    });
    expect(seen.json.result).toEqual({
      task: { ...made.task, taskId: 'b+t1' },
      _meta: related('b+t1'),
    });
  });

  test.each(['tasks/get', 'tasks/cancel', 'tasks/result'])('%s goes to its server', async (method) => {
    const isResult = method === 'tasks/result';
    const own = isResult
      ? { content: [LINK], taskId: 'not one', _meta: related('t1') }
      : { taskId: 't1', status: 'working' };
    const lab = new Lab({
      servers: { a: tasked('a', () => ({})), b: tasked('b', (message) => answer(message, own)) },
    });
    const session = await lab.initialize();
    const seen = send(lab, session, method, { taskId: 'b+t1', _meta: { ...related('b+t1'), y: 1 } });
    await lab.sim.advance(10);
    expect(jsonOf(lab.asked('b', method)[0]?.body ?? new Uint8Array()).params).toEqual({
      taskId: 't1',
      _meta: { ...related('t1'), y: 1 },
    });
    expect(seen.json.result).toEqual(
      isResult
        ? { content: [MARKED_LINK], taskId: 'not one', _meta: related('b+t1') }
        : { taskId: 'b+t1', status: 'working' },
    );
    expect(lab.asked('a', method)).toEqual([]);
  });

  test('lists are joined over all pages of all servers that have one', async () => {
    const lab = new Lab({
      servers: {
        a: tasked('a', (message) =>
          message.params?.cursor === undefined
            ? answer(message, { tasks: [{ taskId: 't1', ttl: 1 }], nextCursor: 'n' })
            : answer(message, { tasks: [{ taskId: 't2' }] }),
        ),
        b: tasked('b', (message) => answer(message, { tasks: [{ taskId: 't1' }] })),
        c: legacyScript('c', () => ({ status: 500 })),
      },
    });
    const session = await lab.initialize();
    const seen = send(lab, session, 'tasks/list', {});
    await lab.sim.advance(10);
    expect(seen.json.result).toEqual({
      tasks: [{ taskId: 'a+t1', ttl: 1 }, { taskId: 'a+t2' }, { taskId: 'b+t1' }],
    });
    expect(lab.asked('c', 'tasks/list')).toEqual([]);
  });

  test('what belongs to a task says so with the mark: status, progress, and a question with its answer', async () => {
    const question = {
      ...{ jsonrpc: '2.0', id: 7, method: 'elicitation/create' },
      params: { _meta: { progressToken: 3, ...related('t1') }, message: 'who?' },
    };
    const status = {
      ...{ jsonrpc: '2.0', method: 'notifications/tasks/status' },
      params: { taskId: 't1', status: 'input_required' },
    };
    const progress = {
      ...{ jsonrpc: '2.0', method: 'notifications/progress' },
      params: { progressToken: 'p', progress: 1, _meta: related('t1') },
    };
    const lab = new Lab({
      servers: {
        b: tasked('b', (_, sent) =>
          sent.verb === 'GET'
            ? eventStream([eventOf(status)], { hang: true })
            : eventStream([eventOf(progress), eventOf(question)], { hang: true }),
        ),
      },
    });
    const session = await lab.initialize();
    const own = lab.get(session);
    const call = send(lab, session, 'tasks/result', { taskId: 'b+t1' });
    await lab.sim.advance(10);
    expect(own.events).toEqual([{ ...status, params: { ...status.params, taskId: 'b+t1' } }]);
    const [heard, asked] = call.events;
    expect(heard).toEqual({ ...progress, params: { ...progress.params, _meta: related('b+t1') } });
    expect(asked?.params).toEqual({
      _meta: { progressToken: asked?.id, ...related('b+t1') },
      message: 'who?',
    });
    const result = { action: 'accept', content: { taskId: 'b+t1' } };
    lab.post({ jsonrpc: '2.0', id: asked?.id, result: { ...result, _meta: related('b+t1') } }, { session });
    await lab.sim.advance(10);
    const told = lab.fake('b').sent.map((sent) => (sent.body.length === 0 ? {} : jsonOf(sent.body)));
    expect(told).toContainEqual({ jsonrpc: '2.0', id: 7, result: { ...result, _meta: related('t1') } });
  });

  test('tasks that the client runs for a server keep their ids', async () => {
    const ask = (id: number, method: string, params: object): string =>
      eventOf({ jsonrpc: '2.0', id, method, params });
    const events = [
      ask(1, 'sampling/createMessage', { task: { ttl: 1 }, messages: [] }),
      ask(2, 'tasks/get', { taskId: 'c1' }),
    ];
    const lab = new Lab({ servers: { b: tasked('b', () => eventStream(events, { hang: true })) } });
    const session = await lab.initialize();
    const call = send(lab, session, 'tools/call', { name: 'b__t' });
    await lab.sim.advance(10);
    const [first, second] = call.events;
    expect([first?.params, second?.params]).toEqual([{ task: { ttl: 1 }, messages: [] }, { taskId: 'c1' }]);
    const made = { task: { taskId: 'c1', status: 'working' }, _meta: related('c1') };
    lab.post({ jsonrpc: '2.0', id: first?.id, result: made }, { session });
    await lab.sim.advance(10);
    const told = lab.fake('b').sent.map((sent) => (sent.body.length === 0 ? {} : jsonOf(sent.body)));
    expect(told).toContainEqual({ jsonrpc: '2.0', id: 1, result: made });
  });

  test('a state that says everything twice harms nothing', async () => {
    const twice = `{"jsonrpc":"2.0","id":1,"result":{"taskId":"x","resultType":"task","taskId":"t1","task":{"taskId":"t1"},"result":{"content":[]},"_meta":{"${RELATED}":{"taskId":"t1"}},"_meta":{"${RELATED}":{"taskId":"t2"}}}}`;
    const lab = new Lab({ servers: { b: tasked('b', () => json(twice)) } });
    const session = await lab.initialize();
    const seen = send(lab, session, 'tasks/get', { taskId: 'b+t1' });
    await lab.sim.advance(10);
    expect(seen.status).toBe(200);
    expect(seen.exchange.fault).toBeNull();
  });
});
