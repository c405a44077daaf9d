// The tasks scenarios of the official conformance suite through the gateway: to one server over stdio, and to three replicas of one, each with tasks of its own.
// Run by `bun test`. Promises: every check has the status that it has at the server itself; and a client of an aggregate finds its tasks in two servers.
import { afterAll, describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compareReports, type Report, readReport } from '../../scripts/conformance/reports.ts';
import { runSuite } from '../../scripts/conformance/suite.ts';
import type { HttpTarget } from '../../src/upstream/spec.ts';
import { ROOT } from '../fixtures/harness.ts';
import { MODERN_META, modernHeaders } from '../fixtures/messages.ts';
import { eventually } from '../fixtures/places.ts';
import { startPlane, targetOf } from '../fixtures/plane.ts';
import { startTasksServer } from '../fixtures/tasks-server.ts';

const TEST_MS_MAX = 120_000;
/** All that are not about notifications, which the suite has yet to write. */
const SCENARIOS = [
  'tasks-lifecycle',
  'tasks-capability-negotiation',
  'tasks-wire-fields',
  'tasks-request-state-removal',
  'tasks-mrtr-input',
  'tasks-request-headers',
  'tasks-dispatch-and-envelope',
  'tasks-required-task-error',
  'tasks-mrtr-composition',
];

/** Those that do not wait for seconds. */
const QUICK = [
  'tasks-wire-fields',
  'tasks-mrtr-input',
  'tasks-capability-negotiation',
  'tasks-mrtr-composition',
];

const near = { command: process.execPath, args: [join(ROOT, 'test', 'fixtures', 'tasks-server.ts')] };
const folder = mkdtempSync(join(tmpdir(), 'sluice-tasks-'));
const servers = [startTasksServer(), startTasksServer(), startTasksServer()];
const [direct, second, third] = servers;
if (direct === undefined || second === undefined || third === undefined) throw new Error('no servers');
const replicas = [second, third].map(({ url }) => targetOf({ url }) as HttpTarget);
const far = startPlane({ servers: { far: { url: direct.url } }, spec: { replicas, era: 'modern' } });
const both = startPlane({ servers: { far: { url: direct.url }, near }, spec: { era: 'modern' } });
afterAll(async () => {
  await far.stop();
  await both.stop();
  for (const one of servers) one.stop();
  rmSync(folder, { recursive: true, force: true });
}, TEST_MS_MAX);

/** Runs scenarios, all of them unless told, at a URL. */
async function report(name: string, url: string, scenarios = SCENARIOS): Promise<Report> {
  const out = join(folder, name);
  mkdirSync(out);
  await Promise.all(
    scenarios.map((scenario) =>
      runSuite(
        ['server', '--url', url, '--scenario', scenario, '-o', out],
        join(folder, `${name}-${scenario}`),
      ),
    ),
  );
  return readReport(out);
}

describe('the suite’s scenarios', () => {
  let expected: Report = new Map();
  test(
    'directly: all pass',
    async () => {
      expected = await report('direct', direct.url);
      expect(new Set([...expected.values()].map(({ scenario }) => scenario))).toEqual(new Set(SCENARIOS));
      const failed = [...expected].filter(([, { statuses }]) => statuses.includes('FAILURE'));
      expect(failed.map(([check]) => check)).toEqual([]);
    },
    TEST_MS_MAX,
  );

  test(
    'over stdio: the same',
    async () => {
      const own = [...expected].filter(([, { scenario }]) => QUICK.includes(scenario));
      const found = await report('stdio', `${both.url}/mcp/near`, QUICK);
      expect(compareReports(new Map(own), found)).toEqual([]);
    },
    TEST_MS_MAX,
  );

  test(
    'at three replicas, each of which got its part: the same',
    async () => {
      for (const { tasks } of servers) tasks.asked.clear();
      expect(compareReports(expected, await report('replicas', `${far.url}/mcp`))).toEqual([]);
      for (const { tasks } of servers) {
        expect(tasks.asked.get('tools/call')).toBeGreaterThan(0);
        expect(tasks.asked.get('tasks/get')).toBeGreaterThan(0);
      }
    },
    TEST_MS_MAX,
  );
});

test(
  'merged: a task is polled, answered and cancelled at the server that runs it',
  async () => {
    const capabilities = { elicitation: { form: {} }, extensions: { 'io.modelcontextprotocol/tasks': {} } };
    const _meta = { ...MODERN_META, 'io.modelcontextprotocol/clientCapabilities': capabilities };
    const ask = async (method: string, name: string, params: object): Promise<Record<string, unknown>> => {
      const response = await fetch(`${both.url}/mcp`, {
        method: 'POST',
        headers: modernHeaders(method, name),
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: { ...params, _meta } }),
      });
      const { result } = (await response.json()) as { result?: Record<string, unknown> };
      if (result === undefined) throw new Error(`refused: ${method} ${name}`);
      return result;
    };
    for (const server of ['far', 'near']) {
      const call = (tool: string): Promise<Record<string, unknown>> =>
        ask('tools/call', `${server}__${tool}`, { name: `${server}__${tool}`, arguments: { seconds: 60 } });
      const made = await call('multi_input');
      const taskId = String(made.taskId);
      expect([made.resultType, taskId.startsWith(`${server}+`)]).toEqual(['task', true]);
      const { inputRequests } = await ask('tasks/get', taskId, { taskId });
      const keys = Object.keys(inputRequests as object);
      expect(keys.length).toBe(2);
      const inputResponses = Object.fromEntries(
        keys.map((key) => [key, { action: 'accept', content: { [key]: key } }]),
      );
      await ask('tasks/update', taskId, { taskId, inputResponses });
      expect(await ask('tasks/get', taskId, { taskId })).toMatchObject({ taskId, status: 'completed' });
      const slow = String((await call('slow_compute')).taskId);
      expect(await ask('tasks/get', slow, { taskId: slow })).toMatchObject({ status: 'working' });
      await ask('tasks/cancel', slow, { taskId: slow });
      await eventually('it is cancelled', async () => {
        const { status } = await ask('tasks/get', slow, { taskId: slow });
        return status === 'cancelled';
      });
    }
  },
  TEST_MS_MAX,
);
