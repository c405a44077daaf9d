// The soak at toy size: every kind of client and fault once, so that it cannot rot; and its judgement of what it saw.
// Called by `bun test`. Promises: fails when a call of a healthy server fails, when replies are mixed up or something is left over, and prints the seed.
import { afterAll, expect, test } from 'bun:test';
import { createServer } from 'node:net';
import { Ledger, ratioOf } from '../scripts/soak/ledger.ts';
import { faultsOf, reportOf } from '../scripts/soak/report.ts';
import { Rests } from '../scripts/soak/rests.ts';
import { type Soaked, type SoakOptions, soak } from '../scripts/soak/run.ts';
import { type Mood, Shim } from '../scripts/soak/shim.ts';
import { grows, type Look, trendOf } from '../scripts/soak/watch.ts';
import { stopAll } from './fixtures/harness.ts';

const TEST_MS_MAX = 120_000;
const options: SoakOptions = {
  ...{ seconds: 4, seed: Number(Bun.env.SLUICE_SEED ?? 11), workers: 2, clients: 12, small: true },
  wholeHeap: false,
  verbose: true,
  say: (line) => console.log(line),
};

afterAll(stopAll);

test(
  'a soak of a few seconds: healthy servers are served whatever befalls the others, and nothing is left',
  async () => {
    console.log(`soak: seed ${options.seed} (SLUICE_SEED draws another)`);
    const run = await soak(options);
    console.log(reportOf(run));
    expect(faultsOf(run)).toEqual([]);
    expect(run.ledger.scores.healthy.succeeded).toBeGreaterThan(20);
    expect(run.ledger.recoveries.length).toBeGreaterThan(0);
  },
  TEST_MS_MAX,
);

/** A run in which all went well, changed in some respect. */
function runWith(change: Partial<Soaked>, seconds = 600): Soaked {
  const ledger = new Ledger();
  for (let n = 0; n < 99_998; n++) ledger.succeed('healthy', 'call');
  const looks = Array.from({ length: seconds }, (_, at) => lookWith(at, 100 + (at % 3)));
  const left = { sessions: 0, calls: 0, children: 0, handles: 0, what: [] };
  return {
    options: { ...options, seconds },
    ledger,
    looks,
    rests: [],
    left,
    exitCode: 0,
    logged: 0,
    seconds,
    ...change,
  };
}

function lookWith(seconds: number, residentMb: number): Look {
  return { seconds, residentMb, handles: 40, children: 3 };
}

test('the judgement: what it demands, one by one', () => {
  expect(faultsOf(runWith({}))).toEqual([]);
  const few = runWith({});
  for (let n = 0; n < 3; n++) few.ledger.fail('healthy', 'a: b');
  expect(faultsOf(few)).toEqual([]);
  few.ledger.fail('healthy', 'a: b');
  expect(faultsOf(few)[0]).toContain('99.9960 %');
  expect(reportOf(few)).toContain('4 × a: b');
  const mixed = runWith({});
  mixed.ledger.fail('faulty', 'call: CROSSED: the text of another call');
  expect(faultsOf(mixed)).toEqual(['1 replies belonged to others']);
  const lost = runWith({});
  lost.ledger.recoveries.push({ server: 'a', fault: 'kill', ms: null });
  expect(faultsOf(lost)).toEqual(['1 servers were not served again after a fault']);
  const left = { sessions: 1, calls: 0, children: 0, handles: 0, what: ['sh'] };
  expect(faultsOf(runWith({ left, exitCode: 1 })).length).toBe(2);
  const leaking = Array.from({ length: 600 }, (_, at) => lookWith(at, 100 + at / 10 + (at % 3)));
  expect(faultsOf(runWith({ looks: leaking }))).toEqual(['residentMb grows']);
  expect(faultsOf(runWith({ looks: leaking.slice(0, 60) }, 60))).toEqual([]);
  // What is kept shows at rest; what comes and goes with the traffic does not.
  const rests = [180, 200, 201, 199, 202].map((mb, at) => lookWith(120 * (at + 1), mb));
  expect(faultsOf(runWith({ looks: leaking, rests }))).toEqual([]);
  const kept = [180, 200, 211, 219, 230].map((mb, at) => lookWith(120 * (at + 1), mb));
  expect(faultsOf(runWith({ rests: kept }))).toEqual(['residentMb grows']);
  expect(reportOf(runWith({ rests: kept }))).toContain('200 at 240 s');
  expect(faultsOf(runWith({ ledger: new Ledger() }))).toEqual(['no call of a healthy server succeeded']);
  expect(ratioOf({ succeeded: 0, failed: 0 })).toBe(1);
});

test('what wavers slowly is not taken for growth, what grows beneath it is', () => {
  // The sawtooth of a generational collector, whose teeth last for minutes, cut off in the middle of one.
  const sawtooth = (at: number): number => 250 + 60 * (((at + 60) % 170) / 170);
  const swaying = Array.from({ length: 600 }, (_, at) => lookWith(at, sawtooth(at)));
  expect(grows(trendOf(swaying, 'residentMb'), 1)).toBe(false);
  const growing = Array.from({ length: 600 }, (_, at) => lookWith(at, sawtooth(at) + at / 2));
  expect(grows(trendOf(growing, 'residentMb'), 1)).toBe(true);
});

test('a slope is told from noise', () => {
  const noise = Array.from({ length: 600 }, (_, at) => lookWith(at, 100 + 20 * Math.sin(at)));
  expect(grows(trendOf(noise, 'residentMb'), 1)).toBe(false);
  const { perHour, error } = trendOf(
    Array.from({ length: 600 }, (_, at) => lookWith(at, at / 10)),
    'residentMb',
  );
  expect(perHour).toBeCloseTo(360, 0);
  expect(error).toBeLessThan(1);
});

test('the shim: each mood does what it is called', async () => {
  const text = 'hello';
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => socket.write(bytes));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const shim = await Shim.start(typeof address === 'object' && address !== null ? address.port : 0);
  const said = (mood: Mood): Promise<string> => {
    shim.mood = mood;
    const got = Promise.withResolvers<string>();
    let heard = '';
    const end = (): void => got.resolve(heard);
    void Bun.connect({
      hostname: '127.0.0.1',
      port: shim.port,
      socket: {
        open: (socket) => void socket.write(text),
        data(socket, bytes) {
          heard += bytes.toString('latin1');
          if (heard.length >= text.length) socket.end();
        },
        close: end,
        error: end,
      },
    }).catch(end);
    return got.promise;
  };
  expect(await said('pass')).toBe(text);
  expect(await said('slow')).toBe(text);
  expect(await said('cut')).toBe('hel');
  expect(await said('reset')).toBe('');
  const garbage = await said('garbage');
  expect(garbage.length).toBe(text.length);
  expect(garbage).not.toBe(text);
  await shim.stop();
  server.close();
}, 20_000);

test('rests come at fixed shares of a long run, and hold clients back until they end', async () => {
  const rests = new Rests(600);
  expect([rests.at(0), rests.isOn]).toEqual([null, false]);
  expect([rests.at(121), rests.isOn]).toEqual([null, true]);
  let isThrough = false;
  const waiting = rests.over().then(() => {
    isThrough = true;
  });
  expect([rests.at(141), isThrough]).toEqual([0, false]);
  expect([rests.at(146), rests.isOn]).toEqual([null, false]);
  await waiting;
  expect(rests.at(504)).toBe(3);
  rests.end();
  const short = new Rests(60);
  expect([short.at(13), short.isOn]).toEqual([null, false]);
});
