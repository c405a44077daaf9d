// `sluice tail` against an admin API that a test plays: what is new is shown once, in order, and what was missed is counted.
// Runs src/cli/operate/tail.ts through the program. Promises: one listener on a free loopback port, closed at the end; no timed assertion.
import { expect, test } from 'bun:test';
import { runProgram } from '../../../src/cli/program.ts';
import { fakeWorld } from './fake-world.ts';

function exchange(key: string, server = 'a') {
  return {
    ...{
      key,
      at: '2026-01-01T00:00:00.000Z',
      worker: 0,
      endpoint: '/mcp/a',
      server,
      method: 'ping',
      name: '',
    },
    ...{
      id: key,
      status: 200,
      outcome: 'ok',
      errorCode: null,
      durationMs: 1,
      phases: null,
      replica: 0,
      sends: 1,
    },
    ...{ isCached: false, trace: null, requestBytes: 1, replyBytes: 1, request: '' },
  };
}

/** Plays one answer after the other (keys newest first); the signal comes with the last. */
async function follow(answers: readonly (readonly string[])[], ...options: string[]) {
  const fake = fakeWorld();
  const asked: (string | null)[] = [];
  const listener = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch(request) {
      asked.push(new URL(request.url).searchParams.get('after'));
      const keys = answers[asked.length - 1] ?? [];
      if (asked.length >= answers.length) fake.signal(130);
      const items = keys.map((key) => exchange(key, key.startsWith('1-') ? 'b' : 'a'));
      return Response.json({ items, last: keys[0] ?? null });
    },
  });
  const place = ['--admin', `http://127.0.0.1:${listener.port}`, '--token', 'a-token-of-tests'];
  try {
    const code = await runProgram(['tail', '--json', ...place, ...options], fake.world);
    const keys = fake
      .out()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => (JSON.parse(line) as { key: string }).key);
    return { code, keys, err: fake.err(), asked };
  } finally {
    listener.stop(true);
  }
}

test('what is new is shown once, oldest first, and asked for from one question further back', async () => {
  const { code, keys, err, asked } = await follow(
    [['0-3', '0-2'], ['0-4', '1-0', '0-3'], ['1-1', '0-5', '0-4', '1-0'], ['1-1']],
    ...['--lines', '1'],
  );
  expect(keys).toEqual(['0-3', '1-0', '0-4', '0-5', '1-1']);
  expect({ code, err, asked }).toEqual({ code: 0, err: '', asked: [null, '0-3', '0-3', '0-4'] });
});

test('neighbours that the clock has swapped are both shown, and none is counted as missed', async () => {
  const { keys, err } = await follow([['0-1'], ['0-2', '0-3', '0-1'], []]);
  expect(keys).toEqual(['0-1', '0-3', '0-2']);
  expect(err).toBe('');
});

test('what was missed is counted for each worker, whatever the filters leave out', async () => {
  const { keys, err } = await follow([['1-0', '0-0'], ['1-11', '1-10', '0-5', '0-4'], []], '--server', 'b');
  expect(keys).toEqual(['1-0', '1-10', '1-11']);
  expect(err).toBe('note: 12 more exchanges came too fast to be looked at\n');
});
