// `sluice bench` as a command: wrong command lines, arguments made of a schema, and its lines for people.
// Runs src/cli/bench.ts and its parts that need no server. Promises: no connection is made.
import { describe, expect, test } from 'bun:test';
import { Refusal, sampleArguments } from '../../../src/cli/bench/handshake.ts';
import type { Tally } from '../../../src/cli/bench/load.ts';
import { FIRST_ID, requestBytes, type Speech, setId, withPayload } from '../../../src/cli/bench/message.ts';
import { summaryJson, summaryText } from '../../../src/cli/bench/summary.ts';
import { runProgram } from '../../../src/cli/program.ts';
import { Histogram } from '../../../src/memory/histogram.ts';
import { fakeWorld } from './fake-world.ts';

describe('a wrong command line exits with 2', () => {
  test.each([
    [['bench'], "missing required argument 'url'"],
    [['bench', 'ftp://x'], "found 'ftp://x'"],
    [['bench', 'h', '--era', 'old'], 'auto, modern, legacy'],
    [['bench', 'h', '--method', 'ping'], 'call, list, initialize'],
    [['bench', 'h', '-c', '0'], 'from 1 to 16384'],
    [['bench', 'h', '--rate', '1.5'], 'whole number'],
    [['bench', 'h', '--duration', 'x'], 'seconds'],
    [['bench', 'h', '--header', 'no colon'], "'Name: value'"],
    [['bench', 'h', '--args', '[1]'], 'no object'],
  ])('%p', async (args, said) => {
    const fake = fakeWorld();
    expect(await runProgram(args, fake.world)).toBe(2);
    expect(fake.err()).toStartWith('sluice: ');
    expect(fake.err()).toContain(said);
  });

  test('help has examples of itself', async () => {
    const fake = fakeWorld();
    expect(await runProgram(['bench', '--help'], fake.world)).toBe(0);
    expect(fake.out()).toContain('Examples:\n  sluice bench http://');
  });
});

describe('requests', () => {
  const speech: Speech = {
    era: 'modern',
    version: '2026-07-28',
    headers: [['Authorization', 'x']],
    client: '1',
  };
  const message = { method: 'tools/call', params: { name: 'echo', arguments: { text: 'ü' } }, name: 'echo' };

  test('are whole, with the id in its place and a length in bytes', () => {
    const { start, rest } = requestBytes({ host: 'h:1', path: '/mcp?a=b' }, speech, message, null);
    setId(start, FIRST_ID + 23);
    const text = Buffer.concat([start, rest]).toString();
    const [head = '', body = ''] = text.split('\r\n\r\n');
    expect(head).toStartWith('POST /mcp?a=b HTTP/1.1\r\nhost: h:1\r\n');
    for (const line of [
      'mcp-method: tools/call',
      'mcp-name: echo',
      'mcp-protocol-version: 2026-07-28',
      'Authorization: x',
    ])
      expect(head).toContain(`\r\n${line}`);
    expect(head).toContain(`content-length: ${Buffer.byteLength(body)}`);
    expect(JSON.parse(body)).toMatchObject({
      id: FIRST_ID + 23,
      method: 'tools/call',
      params: message.params,
    });
  });

  test('a header of the user replaces ours', () => {
    const own = { ...speech, headers: [['Accept', 'application/json'] as const] };
    const { start } = requestBytes({ host: 'h', path: '/' }, own, message, null);
    expect(
      Buffer.from(start)
        .toString()
        .match(/accept/gi),
    ).toHaveLength(1);
  });

  test('a payload fills the first string, or makes a text', () => {
    expect(withPayload({ n: 1, message: 'a', other: 'b' }, 5)).toEqual({
      n: 1,
      message: 'The q',
      other: 'b',
    });
    expect(String(withPayload({}, 1000).text)).toHaveLength(1000);
  });

  test('arguments are made for required strings, and asked for otherwise', () => {
    expect(sampleArguments({ required: ['a'], properties: { a: { type: 'string' } } })).toHaveProperty('a');
    expect(sampleArguments(undefined)).toEqual({});
    expect(sampleArguments({ required: ['n'], properties: { n: { type: 'number' } } })).toBeInstanceOf(
      Refusal,
    );
  });
});

describe('the summary', () => {
  const run = {
    url: 'http://h/mcp',
    what: 'tools/call echo',
    era: 'modern',
    version: '2026-07-28',
    connections: 1,
    ratePerSecond: null,
    warmUpSeconds: 1,
    requestBytes: 500,
    interrupted: false,
  };
  const tally: Tally = {
    latency: new Histogram(),
    lateness: new Histogram(),
    errors: new Map([['HTTP 503', 2]]),
    seconds: 2,
    unanswered: 0,
    unsent: 0,
    bytesSent: 1,
    bytesReceived: 2,
    ownCpuShare: 0.97,
  };
  tally.latency.record(100);
  tally.latency.record(300_000);

  test('for people', () => {
    const text = summaryText(run, tally);
    expect(text).toContain('1 connection, each calls again');
    expect(text).toContain('2 in 2.00 s: 1 /s');
    expect(text).toContain('2 × HTTP 503');
    expect(text).toContain('max 300 ms');
    expect(text).toContain('the load was busy itself');
    expect(summaryText({ ...run, ratePerSecond: 10, interrupted: true }, { ...tally, unsent: 3 })).toMatch(
      /10 calls\/s due[\s\S]*3 calls due and never sent[\s\S]*broken off[\s\S]*did not keep up/,
    );
  });

  test('for machines', () => {
    expect(summaryJson(run, tally)).toMatchObject({
      calls: 2,
      failed: 2,
      model: 'closed',
      callsPerSecond: 1,
    });
    expect(
      JSON.parse(JSON.stringify(summaryJson(run, { ...tally, latency: new Histogram() }))).latencyUs.p50,
    ).toBe(null);
  });
});
