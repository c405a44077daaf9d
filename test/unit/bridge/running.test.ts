// Requests of a session: found by their id, forgotten when answered, bounded.
// Runs bridge/running.ts and the bounds of bridge/questions.ts.
import { expect, test } from 'bun:test';
import { type Leg, newLeg } from '../../../src/bridge/leg.ts';
import type { Member } from '../../../src/bridge/member.ts';
import { Questions } from '../../../src/bridge/questions.ts';
import { RunningCalls } from '../../../src/bridge/running.ts';
import { createSimRuntime } from '../../../src/runtime/sim.ts';
import { chooseScanner } from '../../../src/scan/scan.ts';
import { createFakeUpstream } from '../../../src/upstream/fake.ts';
import { jsonOf } from '../../fixtures/lab.ts';
import { messageOf } from '../../fixtures/messages.ts';
import { snapshotOf } from '../../fixtures/plane.ts';

function legOf(name: string, index: number): Leg {
  const [spec] = snapshotOf({ servers: { [name]: { url: 'http://127.0.0.1:1/mcp' } } }).servers;
  if (spec === undefined) throw new Error('no spec');
  const { clock } = createSimRuntime({ seed: 1 });
  const member: Member = { spec, upstream: createFakeUpstream({ clock, script: () => ({}) }) };
  return newLeg(member, index);
}

test('an end is counted once, however often it is told', () => {
  const calls = new RunningCalls();
  const end = calls.begin('1', legOf('a', 0), 'm');
  expect(calls.open).toBe(1);
  end(false);
  end(true);
  expect([calls.open, calls.legOf('1')]).toEqual([0, null]);
});

test('a request without an answer is remembered; the end of another one under its id does not forget it', () => {
  const calls = new RunningCalls();
  const leg = legOf('a', 0);
  const first = calls.begin('1', leg, 'm');
  const second = calls.begin('1', leg, 'n');
  first(true);
  expect(calls.legOf('1')).toBe(leg);
  second(false);
  expect(calls.legOf('1')).toBe(leg);
  expect(calls.answered(messageOf('{"jsonrpc":"2.0","id":1,"result":{}}'))).toBe('n');
  expect(calls.answered(messageOf('{"jsonrpc":"2.0","id":1,"result":{}}'))).toBe('');
  expect([calls.legOf('1'), calls.legOf(null)]).toEqual([null, null]);
});

test('the oldest of too many gives way', () => {
  const calls = new RunningCalls();
  const leg = legOf('a', 0);
  for (let i = 0; i < 1_025; i++) calls.begin(String(i), leg, 'm')(false);
  expect([calls.legOf('0'), calls.legOf('1'), calls.open]).toEqual([null, leg, 0]);
});

test('the oldest of too many questions gives way', () => {
  const questions = new Questions(chooseScanner('portable').scanner);
  const leg = legOf('a', 0);
  const ids = Array.from({ length: 1_025 }, (_, i) => {
    const out = questions.toClient(leg, messageOf(`{"jsonrpc":"2.0","id":${i},"method":"roots/list"}`));
    return jsonOf(out ?? new Uint8Array()).id;
  });
  const answer = (id: unknown) => {
    const { bytes, envelope } = messageOf(JSON.stringify({ jsonrpc: '2.0', id, result: {} }));
    return questions.answer(bytes, envelope);
  };
  expect(answer(ids[0])).toBeNull();
  expect(jsonOf(answer(ids[1])?.draft.body ?? new Uint8Array()).id).toBe(1);
  expect(answer(ids[1])).toBeNull();
  expect(questions.toClient(leg, messageOf('{"jsonrpc":"2.0","id":1,"result":{}}'))).toBeNull();
});
