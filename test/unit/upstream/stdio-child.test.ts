// One child and its end: the stop ladder, the kill for broken framing, stderr in the log, restarts, close().
// Run by bun test. Promises: the child is played by the test; no real time passes.
import { describe, expect, test } from 'bun:test';
import { encode } from '../../../src/base/bytes.ts';
import { GatewayError } from '../../../src/base/errors.ts';
import { LIMITS } from '../../../src/base/limits.ts';
import { createLog } from '../../../src/observe/log.ts';
import { IdSequence, idKey, readId } from '../../../src/upstream/stdio-ids.ts';
import { modern, StdioWorld, seededRandom } from '../../fixtures/stdio-world.ts';

function logged(): { lines: Record<string, unknown>[]; log: ReturnType<typeof createLog> } {
  const lines: Record<string, unknown>[] = [];
  return { lines, log: createLog('debug', { write: (line) => lines.push(JSON.parse(line)), wall: () => 0 }) };
}

describe('the end of a child', () => {
  test('every call in flight fails with GW_UPSTREAM_EXITED and is not sent again; the next call gets a new child', () => {
    const world = new StdioWorld();
    const sent = [1, 2, 3].map((id) => world.send(modern(id, 'tools/call')));
    const listen = world.send(modern(4, 'subscriptions/listen', { notifications: {} }));
    world.child.exit(null, 'SIGKILL');
    for (const { caught } of [...sent, listen]) expect(caught.failed?.code).toBe('GW_UPSTREAM_EXITED');
    const next = world.send(modern(1, 'tools/call'));
    expect(world.children).toHaveLength(2);
    expect(world.child.lines).toHaveLength(1);
    world.child.say({ jsonrpc: '2.0', id: world.child.last.id ?? -1, result: {} });
    expect(next.caught.json.id).toBe(1);
    expect(world.upstream.stats()).toMatchObject({ total: 1, connects: 2, failures: 1 });
  });

  test('what an ended child left in its group is killed', () => {
    const world = new StdioWorld();
    world.send(modern(1, 'tools/call'));
    world.child.exit(1);
    expect(world.child.signals).toEqual(['SIGKILL']);
  });

  test('an answer without a newline before the exit still counts', () => {
    const world = new StdioWorld();
    const { caught } = world.send(modern(1, 'tools/call'));
    world.child.print(JSON.stringify({ jsonrpc: '2.0', id: world.child.last.id, result: {} }));
    expect(caught.over).toBe(false);
    world.child.exit(0);
    expect(caught.json.id).toBe(1);
  });

  test('a child that dies young again and again is not started for every call', () => {
    const world = new StdioWorld();
    const codes: (string | undefined)[] = [];
    for (let i = 0; i < 20; i++) {
      const before = world.children.length;
      const { caught } = world.send(modern(i, 'tools/call'));
      world.clock.advance(2_000);
      if (world.children.length > before) world.child.exit(1);
      codes.push(caught.failed?.code);
    }
    expect(codes.slice(0, 3)).toEqual(['GW_UPSTREAM_EXITED', 'GW_UPSTREAM_EXITED', 'GW_UPSTREAM_EXITED']);
    expect(codes).toContain('GW_UPSTREAM_BACKOFF');
    expect(world.children.length).toBeLessThan(15);
    world.clock.advance(LIMITS.childBackoffLastMs);
    world.send(modern(99, 'tools/call'));
    world.clock.advance(LIMITS.childHealthyMs);
    world.child.exit(1);
    const started = world.children.length;
    world.send(modern(100, 'tools/call'));
    expect(world.children).toHaveLength(started + 1);
  });

  test('a start that fails is GW_UPSTREAM_SPAWN and counts as a failure', () => {
    const world = new StdioWorld();
    world.spawnFault = new GatewayError('GW_UPSTREAM_SPAWN', 'no such command');
    const { caught } = world.send(modern(1, 'tools/call'));
    expect(caught.failed?.code).toBe('GW_UPSTREAM_SPAWN');
    expect(world.upstream.stats()).toMatchObject({ failures: 1, total: 0 });
    world.spawnFault = null;
    expect(world.send(modern(1, 'tools/call')).caught.over).toBe(false);
  });

  test('a client that leaves during the back-off is not served', () => {
    const world = new StdioWorld();
    for (let i = 0; i < 3; i++) {
      world.send(modern(i, 'tools/call'));
      world.clock.advance(500);
      world.child.exit(1);
    }
    const { call } = world.send(modern(9, 'tools/call'));
    expect(world.upstream.stats().waiting).toBe(1);
    call.abort();
    world.clock.advance(2_000);
    expect(world.children).toHaveLength(3);
  });

  test('a line beyond the limit kills the child and fails its calls at once', () => {
    const world = new StdioWorld();
    const { caught } = world.send(modern(1, 'tools/call'));
    const mega = new Uint8Array(1024 * 1024).fill(120);
    for (let n = 0; n <= LIMITS.messageBytesMax / mega.length; n++) world.child.print(mega);
    expect(caught.failed?.code).toBe('GW_UPSTREAM_EXITED');
    expect(caught.failed?.detail).toContain('longer than');
    expect(world.child.signals).toContain('SIGKILL');
    const old = world.child;
    world.send(modern(2, 'tools/call'));
    expect(world.children).toHaveLength(2);
    old.exit(null, 'SIGKILL');
    expect(world.upstream.stats()).toMatchObject({ total: 1, failures: 1 });
  });

  test('a line of exactly the limit passes', () => {
    const world = new StdioWorld();
    const { caught } = world.send(modern(1, 'tools/call'));
    const head = `{"jsonrpc":"2.0","id":${world.child.last.id},"result":{"x":"`;
    world.child.print(`${head}${'y'.repeat(LIMITS.messageBytesMax - head.length - 3)}"}}\n`);
    expect(caught.ended).toBe(1);
    expect(caught.text.length).toBe(LIMITS.messageBytesMax - String(world.child.last.id).length + 1);
  });
});

describe('close', () => {
  test('stdin closes first, then SIGTERM, then SIGKILL, all within the time given', async () => {
    const world = new StdioWorld();
    world.send(modern(1, 'tools/call')).call.abort();
    const closed = world.upstream.close(4_000);
    await Promise.resolve();
    expect(world.child.stdinClosed).toBe(true);
    expect(world.child.signals).toEqual([]);
    world.clock.advance(2_100);
    expect(world.child.signals).toEqual(['SIGTERM']);
    world.clock.advance(2_000);
    await Promise.resolve();
    expect(world.child.signals).toContain('SIGKILL');
    world.child.exit(null, 'SIGKILL');
    await closed;
    expect(world.upstream.stats()).toMatchObject({ total: 0, failures: 0 });
  });

  test('calls that do not end in time fail for good, later ones safely; listens end at once', async () => {
    const world = new StdioWorld();
    const { caught } = world.send(modern(1, 'tools/call'));
    const listen = world.send(modern(2, 'subscriptions/listen', { notifications: {} }));
    const closed = world.upstream.close(3_000);
    expect(listen.caught.ended).toBe(1);
    expect(world.send(modern(3, 'tools/call')).caught.failed?.code).toBe('GW_UPSTREAM_CLOSING');
    world.clock.advance(2_100);
    for (let i = 0; i < 5; i++) await Promise.resolve();
    expect(caught.failed?.code).toBe('GW_UPSTREAM_EXITED');
    expect(world.child.stdinClosed).toBe(true);
    world.child.exit();
    await closed;
  });

  test('with nothing running it is done at once, and nothing starts later', async () => {
    const world = new StdioWorld();
    await world.upstream.close(1_000);
    expect(world.send(modern(1, 'tools/call')).caught.failed?.code).toBe('GW_UPSTREAM_CLOSING');
    expect(world.children).toHaveLength(0);
  });

  test('a process that the kernel does not end is reported, not waited for', async () => {
    const { lines, log } = logged();
    const world = new StdioWorld({ log });
    world.send(modern(1, 'tools/call')).call.abort();
    const closed = world.upstream.close(100);
    for (let i = 0; i < 20; i++) {
      await Promise.resolve();
      world.clock.advance(200);
    }
    await closed;
    expect(lines.some(({ level, msg }) => level === 'error' && String(msg).includes('did not end'))).toBe(
      true,
    );
  });
});

describe('stderr', () => {
  test('lines reach the log, cut at 4 KiB, with the name of the server', () => {
    const { lines, log } = logged();
    const world = new StdioWorld({ log });
    world.send(modern(1, 'tools/call'));
    world.child.complain('half');
    world.child.complain(' line\n\nsecond\r\n');
    world.child.complain(`${'x'.repeat(10_000)}\nunfinished`);
    world.child.exit(1);
    const said = lines.filter(({ msg }) => msg === 'stderr').map(({ line }) => String(line));
    expect(said.map((line) => line.slice(0, 10))).toEqual([
      'half line',
      'second',
      'xxxxxxxxxx',
      'unfinished',
    ]);
    expect(said[2]).toHaveLength(4_096);
    expect(lines.every(({ server }) => server === 'played')).toBe(true);
  });

  test('a chatty child does not fill the log', () => {
    const { lines, log } = logged();
    const world = new StdioWorld({ log });
    world.send(modern(1, 'tools/call'));
    world.child.complain('noise\n'.repeat(1_000));
    world.child.complain('y'.repeat(200_000));
    world.clock.advance(1_500);
    world.child.complain('\nlater\n');
    const said = lines.filter(({ msg }) => msg === 'stderr');
    expect(said).toHaveLength(51);
    expect(lines.find(({ msg }) => msg === 'stderr lines not logged')?.count).toBeGreaterThanOrEqual(950);
  });

  test('a line that is no message is logged at debug, cut', () => {
    const { lines, log } = logged();
    const world = new StdioWorld({ log });
    world.send(modern(1, 'tools/call'));
    world.child.say(`not JSON ${'z'.repeat(1_000)}`);
    const skipped = lines.find(({ msg }) => String(msg).startsWith('skipped a line'));
    expect(skipped?.level).toBe('debug');
    expect(String(skipped?.line)).toHaveLength(200);
  });
});

describe('ids on the pipe', () => {
  test('do not repeat, fit an i32, and differ between two keys', () => {
    const a = new IdSequence(seededRandom(1));
    const b = new IdSequence(seededRandom(2));
    const seen = new Set<number>();
    let equal = 0;
    for (let n = 0; n < 50_000; n++) {
      const id = a.next();
      if (id === b.next()) equal++;
      expect(id > 0 && id < 2 ** 30).toBe(true);
      seen.add(id);
    }
    expect(seen.size).toBe(50_000);
    expect(equal).toBeLessThan(10);
  });

  test.each([
    ['0', 0],
    ['12', 12],
    ['"12"', 12],
    ['', -1],
    ['""', -1],
    ['-1', -1],
    ['1.0', -1],
    ['1e3', -1],
    ['"1 "', -1],
    ['12345678901', -1],
    ['null', -1],
  ])('readId of %s is %d', (text, id) => {
    const bytes = encode(`  ${text}`);
    expect(readId(bytes, 2, bytes.length)).toBe(id);
  });

  test('readId of an absent span is -1', () => {
    expect(readId(encode('1'), -1, -1)).toBe(-1);
  });

  test('idKey: same value, same key; "1" is not 1', () => {
    expect(idKey(encode('"\\u0061"'))).toBe(idKey(encode('"a"')));
    expect(idKey(encode('"\\u00e9"'))).toBe(idKey(encode('"é"')));
    expect(idKey(encode('"a\\/b"'))).toBe(idKey(encode('"a/b"')));
    expect(idKey(encode('"1"'))).not.toBe(idKey(encode('1')));
  });
});
