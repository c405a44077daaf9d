// One of two replicas is killed under calls and comes back on its port: how long until it is given calls again, and what the calls notice of it.
// Called by startup.ts; run by itself it is one replica, which says when it was called first. Promises: the killed one is a process, ended by SIGKILL; calls go on all the while.
import { join } from 'node:path';
import { type BenchRow, rowOf } from '../report.ts';
import { answerTo } from './answer.ts';
import { CALL_BODY, CALL_HEADERS } from './call.ts';
import { startGatewayWith } from './peers.ts';

const CALLERS = 4;
const AWAY_MS = 150;
const WITHIN_MS = 20_000;

/** A replica in a process of its own. */
interface Replica {
  readonly port: number;
  /** Resolves when it was called for the first time, with the time. */
  readonly called: Promise<number>;
  kill(): Promise<void>;
}

async function startReplica(port: number): Promise<Replica> {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, 'replica-return.ts'), `${port}`], {
    stdout: 'pipe',
    stdin: 'ignore',
  });
  const reader = child.stdout.getReader();
  let text = '';
  const line = async (mark: string): Promise<void> => {
    while (!text.includes(mark)) {
      const { value, done } = await reader.read();
      if (done) throw new Error('a replica ended');
      text += new TextDecoder().decode(value);
    }
  };
  await line('}\n');
  const called = line('called\n').then(() => performance.now());
  // One that is killed may never have been called.
  called.catch(() => undefined);
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await child.exited;
  };
  return { port: Number(/"port":(\d+)/.exec(text)?.[1]), called, kill };
}

/** Kills and starts it again so often. */
export async function replicaReturn(rounds: number): Promise<BenchRow> {
  const steady = await startReplica(0);
  let dying = await startReplica(0);
  const places = [steady, dying].map(({ port }) => ({ url: `http://127.0.0.1:${port}/mcp` }));
  const gateway = await startGatewayWith({
    // A place that dies so often is rightly left out for a while; what is measured is how it is found.
    echo: { replicas: places, era: 'modern', outliers: { enabled: false } },
  });
  const returned: number[] = [];
  let calls = 0;
  let failed = 0;
  let isOver = false;
  const caller = async (): Promise<void> => {
    while (!isOver) {
      const reply = await fetch(gateway.url, { method: 'POST', headers: CALL_HEADERS, body: CALL_BODY });
      await reply.arrayBuffer();
      calls++;
      if (reply.status !== 200) failed++;
      await Bun.sleep(1);
    }
  };
  const callers = Array.from({ length: CALLERS }, caller);
  try {
    for (let round = 0; round < rounds; round++) {
      await within(dying.called);
      await dying.kill();
      await Bun.sleep(AWAY_MS);
      dying = await startReplica(dying.port);
      const fromMs = performance.now();
      returned.push((await within(dying.called)) - fromMs);
      console.error(round, returned.at(-1), calls, failed);
    }
  } finally {
    isOver = true;
    await Promise.all(callers);
    await gateway.stop();
    await Promise.all([steady.kill(), dying.kill()]);
  }
  // What was under way when it died may have been executed: such a call is not sent again.
  return rowOf(
    'sluice, one of two replicas back again',
    { 'recovered ms': returned },
    { calls, 'failed calls': failed },
  );
}

async function within(called: Promise<number>): Promise<number> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`a replica was not called within ${WITHIN_MS} ms`)), WITHIN_MS);
  });
  return Promise.race([called, late]).finally(() => clearTimeout(timer));
}

if (import.meta.main) {
  let isFirst = true;
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: Number(process.argv[2] ?? 0),
    fetch: async (request) => {
      const body = await request.text();
      if (isFirst && body.includes('"tools/call"')) {
        isFirst = false;
        console.log('called');
      }
      const answer = answerTo(body);
      return answer === null
        ? new Response(null, { status: 202 })
        : new Response(answer, { headers: { 'content-type': 'application/json' } });
    },
  });
  console.log(JSON.stringify({ port: server.port }));
}
