// Listens of modern clients over sessions of a legacy server.
// Runs bridge/modern-to-legacy/listen*.ts and subscribed.ts over sessions that the test plays.
import { describe, expect, test } from 'bun:test';
import { GatewayError } from '../../../../src/base/errors.ts';
import { LIMITS } from '../../../../src/base/limits.ts';
import { Listens } from '../../../../src/bridge/modern-to-legacy/listen.ts';
import { type Refusal, refusalOf } from '../../../../src/bridge/modern-to-legacy/reply.ts';
import type { HeldSession, SessionWatcher } from '../../../../src/bridge/modern-to-legacy/sessions.ts';
import type { Message } from '../../../../src/mcp/envelope.ts';
import { chooseScanner } from '../../../../src/scan/scan.ts';
import { NO_CLIENT, type UpstreamCall, type UpstreamSink } from '../../../../src/upstream/upstream.ts';
import type { Rpc } from '../../../fixtures/legacy-server.ts';
import { MODERN_META, messageOf } from '../../../fixtures/messages.ts';

const scanner = chooseScanner('portable').scanner;
const TAG = 'io.modelcontextprotocol/subscriptionId';
const ALL = { tools: { listChanged: true }, resources: { listChanged: true, subscribe: true } };

/** A session that records what it is asked, and says what the test wants. */
class PlayedSession implements HeldSession {
  result: Readonly<Record<string, unknown>> = { capabilities: ALL };
  readonly serverInfo = new Uint8Array(0);
  readonly asked: string[] = [];
  readonly watchers = new Set<SessionWatcher>();
  holds = 0;
  /** Resolves the questions; null: at once. */
  gate: Promise<void> | null = null;
  refuses: (uri: string) => boolean = () => false;

  async ask(method: string, params: Readonly<Record<string, unknown>>): Promise<Message | GatewayError> {
    this.asked.push(`${method.replace('resources/', '')} ${String(params.uri)}`);
    if (this.gate !== null) await this.gate;
    const rest = this.refuses(String(params.uri)) ? '"error":{"code":-32002,"message":""}' : '"result":{}';
    return messageOf(`{"jsonrpc":"2.0","id":1,${rest}}`);
  }
  watch(watcher: SessionWatcher): () => void {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  }
  release(): void {
    this.holds--;
  }
  say(method: string, params?: Readonly<Record<string, unknown>>): void {
    const message = messageOf(JSON.stringify({ jsonrpc: '2.0', method, params }));
    for (const watcher of [...this.watchers]) watcher.onNotification(message);
  }
}

/** A client of a listen. */
class Client implements UpstreamSink {
  text = '';
  status = 0;
  type: string | null = null;
  ends = 0;
  error: GatewayError | null = null;
  reads = true;
  call: UpstreamCall | null = null;

  get messages(): readonly Rpc[] {
    return this.text
      .split('\n')
      .filter((line) => line.startsWith('data: '))
      .map((line) => JSON.parse(line.slice(6)) as Rpc);
  }
  /** Methods, with the resource where there is one; a result is `result`. */
  get told(): readonly string[] {
    return this.messages.map(({ method = 'result', params = {} }) =>
      `${method.replace('notifications/', '')} ${String(params.uri ?? '')}`.trim(),
    );
  }
  onHead(head: { readonly status: number; header(name: string): string | null }): void {
    this.status = head.status;
    this.type = head.header('content-type');
  }
  onData(bytes: Uint8Array): boolean {
    this.text += new TextDecoder().decode(bytes);
    return this.reads;
  }
  onEnd(): void {
    this.ends++;
  }
  onFail(error: GatewayError): void {
    this.ends++;
    this.error = error;
  }
}

class Bench {
  session: PlayedSession | Refusal = new PlayedSession();
  readonly listens = new Listens(
    {
      open: async () => {
        const { session } = this;
        if (session instanceof PlayedSession) session.holds++;
        return session;
      },
    },
    scanner,
  );

  get played(): PlayedSession {
    if (!(this.session instanceof PlayedSession)) throw this.session.error;
    return this.session;
  }

  listen(notifications: unknown, id: unknown = 'l'): Client {
    const { bytes, envelope } = messageOf(
      JSON.stringify({
        jsonrpc: '2.0',
        id,
        method: 'subscriptions/listen',
        params: { notifications, _meta: MODERN_META },
      }),
    );
    const client = new Client();
    client.call = this.listens.send(
      {
        ...{ verb: 'POST', era: 'modern', body: bytes, envelope, edits: [], headers: [], session: null },
        ...{ exchangeId: 'e', client: NO_CLIENT, timeoutMs: 0 },
      },
      client,
    );
    expect(client.type).toBeNull();
    return client;
  }
}

/** Lets promises come to their end. */
async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve();
}

describe('a listen', () => {
  test('is acknowledged first, with what the server can give, and tagged with its id', async () => {
    const bench = new Bench();
    const client = bench.listen(
      { toolsListChanged: true, promptsListChanged: true, resourceSubscriptions: ['a://1'] },
      7,
    );
    await settle();
    expect(client.type).toBe('text/event-stream');
    expect(client.messages).toEqual([
      {
        jsonrpc: '2.0',
        method: 'notifications/subscriptions/acknowledged',
        params: {
          notifications: { toolsListChanged: true, resourceSubscriptions: ['a://1'] },
          _meta: { [TAG]: 7 },
        },
      },
    ]);
    expect(bench.played.asked).toEqual(['subscribe a://1']);
  });

  test('hears what it asked for and nothing else', async () => {
    const bench = new Bench();
    const tools = bench.listen({ toolsListChanged: true });
    const resources = bench.listen({ resourceSubscriptions: ['a://1'] }, 'r');
    await settle();
    bench.played.say('notifications/tools/list_changed');
    bench.played.say('notifications/prompts/list_changed');
    bench.played.say('notifications/resources/list_changed');
    bench.played.say('notifications/resources/updated', { uri: 'a://1', title: 't' });
    bench.played.say('notifications/resources/updated', { uri: 'a://1/part' });
    bench.played.say('notifications/resources/updated', { uri: 'a://12' });
    bench.played.say('notifications/message', { level: 'error', data: 'x' });
    bench.played.say('notifications/progress', { progressToken: 1, progress: 1 });
    expect(tools.told).toEqual(['subscriptions/acknowledged', 'tools/list_changed']);
    expect(resources.told).toEqual([
      'subscriptions/acknowledged',
      'resources/updated a://1',
      'resources/updated a://1/part',
    ]);
    expect(resources.messages[1]?.params).toEqual({ uri: 'a://1', title: 't', _meta: { [TAG]: 'r' } });
  });

  test('an aggregate’s changes of its filter hold', async () => {
    const bench = new Bench();
    const { bytes, envelope } = messageOf(
      '{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["s+a://1"]}}}',
    );
    const at = new TextDecoder().decode(bytes).indexOf('["s+');
    const edits = [
      { start: at, end: at + '["s+a://1"]'.length, insert: new TextEncoder().encode('["a://1"]') },
    ];
    bench.listens.send(
      {
        ...{ verb: 'POST', era: 'modern', body: bytes, envelope, edits, headers: [], session: null },
        ...{ exchangeId: 'e', client: NO_CLIENT, timeoutMs: 0 },
      },
      new Client(),
    );
    await settle();
    expect(bench.played.asked).toEqual(['subscribe a://1']);
  });

  test('what comes before the acknowledgement is told behind it', async () => {
    const bench = new Bench();
    const gate = Promise.withResolvers<void>();
    bench.played.gate = gate.promise;
    const client = bench.listen({ toolsListChanged: true, resourceSubscriptions: ['a://1'] });
    await settle();
    expect([client.type, client.text]).toEqual(['text/event-stream', '']);
    bench.played.say('notifications/tools/list_changed');
    gate.resolve();
    await settle();
    expect(client.told).toEqual(['subscriptions/acknowledged', 'tools/list_changed']);
  });

  test('a resource that the server refuses is not acknowledged, and not told of', async () => {
    const bench = new Bench();
    bench.played.refuses = (uri) => uri === 'a://no';
    const client = bench.listen({ resourceSubscriptions: ['a://no', 'a://yes'] });
    await settle();
    expect(client.messages[0]?.params?.notifications).toEqual({ resourceSubscriptions: ['a://yes'] });
    bench.played.say('notifications/resources/updated', { uri: 'a://no' });
    expect(client.told.length).toBe(1);
    client.call?.abort();
    await settle();
    expect(bench.played.asked).toEqual(['subscribe a://no', 'subscribe a://yes', 'unsubscribe a://yes']);
  });

  test('a server without any such capability is not asked, and the listen stays open', async () => {
    const bench = new Bench();
    bench.played.result = { capabilities: {} };
    const client = bench.listen({ toolsListChanged: true, resourceSubscriptions: ['a://1'] });
    await settle();
    expect(client.messages[0]?.params?.notifications).toEqual({});
    expect([bench.played.asked, client.ends]).toEqual([[], 0]);
  });

  test('a session that cannot be had is its failure', async () => {
    const bench = new Bench();
    bench.session = refusalOf(new GatewayError('GW_UPSTREAM_CONNECT'));
    const client = bench.listen({ toolsListChanged: true });
    await settle();
    expect([client.error?.code, client.ends, client.type]).toEqual(['GW_UPSTREAM_CONNECT', 1, null]);
    bench.session = { ...bench.session, status: 401, headers: { 'www-authenticate': 'Bearer' } };
    const stranger = bench.listen({ toolsListChanged: true });
    await settle();
    expect([stranger.status, stranger.ends, JSON.parse(stranger.text).id]).toEqual([401, 1, 'l']);
  });
});

describe('its end', () => {
  test('the client leaves: the session is let go of, and nobody listens any more', async () => {
    const bench = new Bench();
    const client = bench.listen({ toolsListChanged: true });
    await settle();
    expect([bench.played.watchers.size, bench.played.holds]).toEqual([1, 1]);
    client.call?.abort();
    await settle();
    expect([bench.played.watchers.size, bench.played.holds, client.ends]).toEqual([0, 0, 0]);
  });

  test('the client leaves before there is a session', async () => {
    const bench = new Bench();
    const client = bench.listen({ toolsListChanged: true });
    client.call?.abort();
    await settle();
    expect([bench.played.watchers.size, bench.played.holds, client.type]).toEqual([0, 0, null]);
  });

  test('the client leaves while resources are being subscribed to', async () => {
    const bench = new Bench();
    const gate = Promise.withResolvers<void>();
    bench.played.gate = gate.promise;
    const client = bench.listen({ resourceSubscriptions: ['a://1'] });
    await settle();
    client.call?.abort();
    gate.resolve();
    await settle();
    expect(bench.played.asked).toEqual(['subscribe a://1', 'unsubscribe a://1']);
    expect([bench.played.holds, client.text]).toEqual([0, '']);
  });

  test('close() ends every listen with its result, and takes no new ones', async () => {
    const bench = new Bench();
    const client = bench.listen({ toolsListChanged: true, resourceSubscriptions: ['a://1'] });
    await settle();
    bench.listens.close();
    await settle();
    expect(client.messages.at(-1)).toEqual({
      jsonrpc: '2.0',
      id: 'l',
      result: { resultType: 'complete', _meta: { [TAG]: 'l' } },
    });
    expect([client.ends, client.error, bench.played.holds]).toEqual([1, null, 0]);
    expect(bench.played.asked).toEqual(['subscribe a://1']);
    const late = bench.listen({});
    await settle();
    expect(late.error?.code).toBe('GW_UPSTREAM_CLOSING');
  });

  test('close() before there is a session', async () => {
    const bench = new Bench();
    const client = bench.listen({ toolsListChanged: true });
    bench.listens.close();
    await settle();
    expect([client.error?.code, client.ends, bench.played.holds]).toEqual(['GW_UPSTREAM_CLOSING', 1, 0]);
  });

  test('a session that was closed ends it with its result, one that broke with an error', async () => {
    for (const error of [null, new GatewayError('GW_UPSTREAM_CONNECT')]) {
      const bench = new Bench();
      const client = bench.listen({ toolsListChanged: true });
      await settle();
      for (const watcher of [...bench.played.watchers]) watcher.onOver(error);
      await settle();
      expect(client.error).toBe(error);
      expect([client.ends, client.told.at(-1), bench.played.holds]).toEqual([
        1,
        error === null ? 'result' : 'subscriptions/acknowledged',
        0,
      ]);
    }
  });
});

describe('a resource that several listens want', () => {
  test('is subscribed to once, and until the last one leaves', async () => {
    const bench = new Bench();
    const one = bench.listen({ resourceSubscriptions: ['a://1'] });
    const two = bench.listen({ resourceSubscriptions: ['a://1', 'a://2'] });
    await settle();
    one.call?.abort();
    await settle();
    expect(bench.played.asked).toEqual(['subscribe a://1', 'subscribe a://2']);
    bench.played.say('notifications/resources/updated', { uri: 'a://1' });
    expect([one.told.length, two.told.length]).toEqual([1, 2]);
    two.call?.abort();
    await settle();
    expect(bench.played.asked.slice(2).sort()).toEqual(['unsubscribe a://1', 'unsubscribe a://2']);
  });

  test('what one still takes back does not overtake what the next wants', async () => {
    const bench = new Bench();
    const one = bench.listen({ resourceSubscriptions: ['a://1'] });
    await settle();
    const gate = Promise.withResolvers<void>();
    bench.played.gate = gate.promise;
    one.call?.abort();
    await settle();
    const two = bench.listen({ resourceSubscriptions: ['a://1'] });
    await settle();
    expect(bench.played.asked).toEqual(['subscribe a://1', 'unsubscribe a://1']);
    gate.resolve();
    await settle();
    expect(bench.played.asked).toEqual(['subscribe a://1', 'unsubscribe a://1', 'subscribe a://1']);
    expect(two.told).toEqual(['subscriptions/acknowledged']);
  });

  test('their number is bounded', async () => {
    const bench = new Bench();
    const uris = Array.from({ length: LIMITS.sessionSubscriptionsMax + 1 }, (_, n) => `a://${n}`);
    const client = bench.listen({ resourceSubscriptions: uris });
    for (let i = 0; i < 100; i++) await settle();
    const acknowledged = client.messages[0]?.params?.notifications as
      | { resourceSubscriptions: string[] }
      | undefined;
    expect(acknowledged?.resourceSubscriptions.length).toBe(LIMITS.sessionSubscriptionsMax);
    expect(bench.played.asked.length).toBe(LIMITS.sessionSubscriptionsMax);
  });
});

test('a session that was lost and had again is subscribed anew, and everything is told to have changed', async () => {
  const bench = new Bench();
  const client = bench.listen({ toolsListChanged: true, resourceSubscriptions: ['a://1'] });
  await settle();
  for (const watcher of [...bench.played.watchers]) watcher.onRenewed();
  await settle();
  expect(bench.played.asked).toEqual(['subscribe a://1', 'subscribe a://1']);
  expect(client.told).toEqual([
    'subscriptions/acknowledged',
    'tools/list_changed',
    'resources/updated a://1',
  ]);
});

describe('a client that does not read', () => {
  test('gets what waited once it reads', async () => {
    const bench = new Bench();
    const client = bench.listen({ toolsListChanged: true });
    client.reads = false;
    await settle();
    bench.played.say('notifications/tools/list_changed');
    bench.played.say('notifications/tools/list_changed');
    expect(client.told.length).toBe(1);
    client.call?.resume();
    expect(client.told.length).toBe(2);
    client.reads = true;
    client.call?.resume();
    expect(client.told.length).toBe(3);
  });

  test('loses its stream when too much waits', async () => {
    const bench = new Bench();
    const client = bench.listen({ resourceSubscriptions: ['a://1'] });
    client.reads = false;
    await settle();
    const note = { uri: 'a://1', x: 'y'.repeat(10_000) };
    for (let bytes = 0; bytes <= LIMITS.downstreamBufferBytesMax; bytes += 10_000)
      bench.played.say('notifications/resources/updated', note);
    await settle();
    expect([client.error?.code, client.ends, bench.played.holds]).toEqual(['GW_UPSTREAM_OVERRUN', 1, 0]);
    expect(bench.played.asked.at(-1)).toBe('unsubscribe a://1');
  });
});
