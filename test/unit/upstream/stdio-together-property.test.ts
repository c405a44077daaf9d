// Legacy sessions that share one child, under any order of calls, progress, answers, cancels, ends and crashes: each hears exactly its own.
// Run by bun test. Promises: fast-check prints the seed of a failure; runs are bounded.
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { type Sent, StdioWorld, stdioSpec } from '../../fixtures/stdio-world.ts';

const RESULT = { protocolVersion: '2025-11-25', capabilities: {} };

/** One step of a run; `of` picks a session or a call among those there are. */
const step = fc.record({
  kind: fc.constantFrom(
    'call',
    'call',
    'call',
    'progress',
    'answer',
    'answer',
    'cancel',
    'end',
    'crash',
    'ask',
  ),
  of: fc.nat(),
  id: fc.constantFrom<(string | number)[]>(1, '1', 'a'),
});

interface Running {
  readonly sent: Sent;
  readonly session: string;
  readonly id: string | number;
  readonly mark: number;
  pipeId: string | number;
  /** What its client must have heard so far. */
  readonly heard: string[];
  state: 'running' | 'cancelled' | 'over';
}

/** One child, its sessions, and what must hold. */
class Scene {
  readonly world = new StdioWorld({
    spec: stdioSpec('played', [], {}, { sharing: 'shared', idleMs: 0 }),
    sessionIdleMs: 10 ** 9,
  });
  readonly sessions: string[] = [];
  readonly calls: Running[] = [];
  #marks = 0;

  open(): void {
    const { caught } = this.world.send(
      {
        jsonrpc: '2.0',
        id: 0,
        method: 'initialize',
        params: { protocolVersion: '2025-11-25', capabilities: { elicitation: {} } },
      },
      { era: 'legacy' },
    );
    this.#greet();
    this.sessions.push(caught.head?.sessionId ?? '');
  }

  /** Answers initialize, when the child was asked. */
  #greet(): void {
    const { child } = this.world;
    const first = child.got[0];
    if (child.got.length === 1 && first?.method === 'initialize')
      child.say({ jsonrpc: '2.0', id: first.id, result: RESULT });
  }

  call(session: string, id: string | number): void {
    const mark = ++this.#marks;
    const params = { name: 'x', arguments: { n: mark }, _meta: { progressToken: id } };
    const sent = this.world.send(
      { jsonrpc: '2.0', id, method: 'tools/call', params },
      { era: 'legacy', session },
    );
    this.#greet();
    const pipeId =
      this.world.child.got.findLast((message) => message.params?.arguments?.n === mark)?.id ?? -1;
    this.calls.push({ sent, session, id, mark, pipeId, heard: [], state: 'running' });
  }

  progress(call: Running): void {
    this.world.child.say({
      jsonrpc: '2.0',
      method: 'notifications/progress',
      params: { progressToken: call.pipeId, progress: call.mark },
    });
    if (call.state === 'running') call.heard.push(`progress ${call.id} ${call.mark}`);
  }

  answer(call: Running): void {
    this.world.child.say({ jsonrpc: '2.0', id: call.pipeId, result: { n: call.mark } });
    if (call.state === 'running') call.heard.push(`answer ${call.id} ${call.mark}`);
    call.state = 'over';
  }

  cancel(call: Running): void {
    // A client that has two calls of one id means the newest.
    const newest = this.calls.findLast(
      ({ session, id, state }) => session === call.session && id === call.id && state === 'running',
    );
    if (newest === undefined) return;
    this.world.send(
      { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: call.id } },
      { era: 'legacy', session: call.session },
    );
    expect(this.world.child.last.params.requestId).toBe(newest.pipeId);
    this.world.clock.advance(1_100);
    newest.state = 'cancelled';
  }

  end(session: string): void {
    this.world.send(null, { era: 'legacy', verb: 'DELETE', session });
    this.sessions.splice(this.sessions.indexOf(session), 1);
    for (const call of this.calls)
      if (call.session === session && call.state === 'running') {
        call.heard.push('failed GW_SESSION_ENDED');
        call.state = 'over';
      }
  }

  crash(): void {
    // Long enough since it started: no back-off is in the way.
    this.world.clock.advance(20_000);
    this.world.child.exit(1);
    for (const call of this.calls)
      if (call.state === 'running') {
        call.heard.push('failed GW_UPSTREAM_EXITED');
        call.state = 'over';
      }
  }

  /** The child asks something: one client may hear it, and only if nobody else has or had a call. */
  ask(): void {
    const running = this.calls.filter(({ state }) => state === 'running');
    const id = `q${++this.#marks}`;
    this.world.child.say({ jsonrpc: '2.0', id, method: 'elicitation/create', params: {} });
    const owners = new Set(running.map(({ session }) => session));
    const heard = this.calls.filter(({ sent }) => sent.caught.text.includes(`"${id}"`));
    expect(heard.length).toBeLessThanOrEqual(1);
    if (owners.size !== 1) expect(heard).toEqual([]);
    for (const call of heard) {
      expect(owners.has(call.session)).toBe(true);
      call.heard.push(`question ${id}`);
    }
  }

  heardBy({ sent: { caught } }: Running): string[] {
    const messages =
      caught.head?.media === 'event-stream' ? caught.events : caught.text === '' ? [] : [caught.text];
    const heard = messages.map((text) => {
      const { id, method, params, result } = JSON.parse(text);
      if (method === 'notifications/progress') return `progress ${params.progressToken} ${params.progress}`;
      return method === undefined ? `answer ${id} ${result.n}` : `question ${id}`;
    });
    return caught.failed === null ? heard : [...heard, `failed ${caught.failed.code}`];
  }
}

test('each session hears exactly its own', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 60 }), (steps) => {
      const scene = new Scene();
      for (let n = 0; n < 3; n++) scene.open();
      for (const { kind, of, id } of steps) {
        const session = scene.sessions[of % Math.max(1, scene.sessions.length)];
        const running = scene.calls.filter(({ state }) => state === 'running');
        const call = running[of % Math.max(1, running.length)];
        const isUp = !scene.world.child.exited;
        if (kind === 'call' && session !== undefined) scene.call(session, id);
        else if (kind === 'end' && session !== undefined && scene.sessions.length > 1) scene.end(session);
        else if (kind === 'crash' && isUp) scene.crash();
        else if (kind === 'ask' && isUp) scene.ask();
        else if (call !== undefined && (kind === 'progress' || kind === 'answer' || kind === 'cancel'))
          scene[kind](call);
        for (const one of scene.calls) expect(scene.heardBy(one)).toEqual(one.heard);
      }
      for (const call of scene.calls) if (call.state === 'running') scene.answer(call);
      for (const one of scene.calls) expect(scene.heardBy(one)).toEqual(one.heard);
      expect(scene.world.upstream.stats()).toMatchObject({ sessions: scene.sessions.length, busy: 0 });
    }),
    { numRuns: 150 },
  );
});
