// Threads that listen with uWebSockets.js, and how they end: Node aborts a process in which such a thread leaves open sockets behind.
// Called by runtime-node.ts, inside Node. Promises: ends every thread it starts.
import { afterEach, describe, expect, test } from 'bun:test';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { createNodeRuntime } from '../../src/runtime/node.ts';
import type { WorkerHandle } from '../../src/runtime/runtime.ts';
import { sendRequest } from '../../src/runtime/sim-client.ts';
import { sleep, UNTIL_MS } from './runtime-real.ts';

/** Runs the tests with runtime-thread.ts as the thread's module and runtime-process.ts as the program. */
export function uwsThreadContract(threadUrl: string, programUrl: string): void {
  const runtime = createNodeRuntime();
  const workers: WorkerHandle[] = [];

  async function until(claim: string, holds: () => boolean): Promise<void> {
    const end = performance.now() + UNTIL_MS;
    while (!holds()) {
      if (performance.now() > end) throw new Error(`never came true: ${claim}`);
      await sleep(5);
    }
  }

  describe('threads that listen with uWebSockets.js', () => {
    afterEach(() => {
      for (const worker of workers.splice(0)) worker.terminate();
    });

    test('with connections open and a request under way, every end is survived: terminate, an uncaught error, an exit', async () => {
      for (const how of ['terminate', 'throw', 'exit']) {
        const heard: unknown[] = [];
        let isOver = false;
        const worker = runtime.startWorker(threadUrl, {
          onMessage: (message) => void heard.push(message),
          onExit: () => {
            isOver = true;
          },
        });
        workers.push(worker);
        worker.post('listen');
        await until('it listens', () => typeof heard[1] === 'number');
        const address = { host: '127.0.0.1', port: Number(heard[1]) };
        const waiting = sendRequest(runtime, address, { method: 'GET', path: '/never' });
        await until('the request is there', () => heard.includes('asked'));
        if (how === 'terminate') worker.terminate();
        else worker.post(how);
        await until('it ended', () => isOver);
        await until('the client knows', () => waiting.state !== 'waiting');
        expect(waiting.state).toBe('broken');
      }
    });

    test('a process that exits while its threads serve has the exit code that it wants', async () => {
      const child = spawn(process.execPath, [fileURLToPath(programUrl), 'threads'], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      let said = '';
      child.stdout.on('data', (bytes) => {
        said += String(bytes);
      });
      const ended = new Promise<unknown>((resolve) =>
        child.on('close', (code, signal) => resolve(code ?? signal)),
      );
      await until('its threads serve', () => said.includes('serving'));
      child.stdin.write('exit\n');
      expect(await ended).toBe(7);
    });
  });
}
