// Event streams on the listeners of the Bun runtime: whose connection they end, and what is in force on it afterwards.
// Called by bun test. Promises: ends every socket it starts; asserts no durations.
import { afterEach, describe, expect, test } from 'bun:test';
import { createBunRuntime } from '../../src/runtime/bun.ts';
import type { Listener, ReplySink } from '../../src/runtime/runtime.ts';
import { LISTEN } from './runtime.ts';
import { SocketRecorder, text } from './runtime-recorders.ts';

const runtime = createBunRuntime();
const listeners: Listener[] = [];

afterEach(() => {
  for (const listener of listeners.splice(0)) listener.stop();
});

async function until(claim: string, holds: () => boolean): Promise<void> {
  const end = performance.now() + 15_000;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`never came true: ${claim}`);
    await Bun.sleep(5);
  }
}

/** A raw client: what it sent and everything that came back. */
function raw(port: number, bytes: string): SocketRecorder {
  const recorder = new SocketRecorder({
    onOpen: (socket) => void socket.write(text(bytes), 0, text(bytes).length),
  });
  runtime.connect({ host: '127.0.0.1', port }, null, recorder);
  return recorder;
}

describe.each(['uwebsockets', 'sockets'] as const)('streams on Bun: %s', (transport) => {
  test('the stream of a GET may end with its connection, that of a POST leaves it to the next request', async () => {
    const sinks: ReplySink[] = [];
    const open = (sink: ReplySink): void => {
      sinks.push(sink);
      sink.write(text('data: 1\n\n'));
    };
    const headers = { 'content-type': 'text/event-stream' };
    const listener = runtime.listen({ ...LISTEN, transport, idleTimeoutMs: 1000 }, () => ({
      status: 200,
      headers,
      body: { open },
    }));
    listeners.push(listener);
    const host = 'HTTP/1.1\r\nhost: a\r\n';
    const got = raw(listener.port, `GET / ${host}\r\n`);
    const posted = raw(listener.port, `POST / ${host}content-length: 0\r\n\r\n`);
    await until('both stream', () => got.bytes.includes('data: 1') && posted.bytes.includes('data: 1'));
    // What was let go of must not be needed for the end.
    Bun.gc(true);
    for (const sink of sinks) sink.end();
    await until('both are complete', () => {
      return got.bytes.toString().endsWith('0\r\n\r\n') && posted.bytes.toString().endsWith('0\r\n\r\n');
    });
    // Ours keeps nothing for it, and nothing ends.
    if (transport === 'uwebsockets') await until('the first is closed', () => got.closed);
    const closes = got.bytes.toString().toLowerCase().includes('\r\nconnection: close\r\n');
    expect(closes).toBe(transport === 'uwebsockets');
    expect(posted.bytes.toString().toLowerCase()).not.toContain('\r\nconnection: close\r\n');
    const again = text(`POST / ${host}content-length: 0\r\n\r\n`);
    posted.socket?.write(again, 0, again.length);
    await until('the connection serves the next', () => sinks.length === 3);
    sinks[2]?.end();
    // Its idle timeout is in force again.
    await until('the second is closed as idle', () => posted.closed);
  }, 20_000);
});
