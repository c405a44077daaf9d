// The journal: what is written comes back, newest first; texts are cut to their room; half a record is never shown.
// Runs src/memory/journal.ts on one thread; test/property/cells-threads.test.ts reads while another writes.
import { describe, expect, test } from 'bun:test';
import { decode, EMPTY, encode } from '../../../src/base/bytes.ts';
import { numberOfError } from '../../../src/base/error-numbers.ts';
import {
  blankEntry,
  type JournalEntry,
  JournalWriter,
  readJournal,
  readJournals,
} from '../../../src/memory/journal.ts';
import { JOURNAL, JOURNAL_WORD } from '../../../src/memory/journal-layout.ts';
import { journalPlace } from '../../../src/memory/layout.ts';
import { createMemory, type PlaneMemory } from '../../../src/memory/memory.ts';

const BODY = encode('{"method":"tools/call","params":{"name":"écho"}}');
const NAME_START = 41;

function make(): PlaneMemory {
  return createMemory({ workers: 2, upstreams: 1, endpoints: 1, ringBytes: 4096, journalRecords: 4 }, 0);
}

function entry(parts: Partial<JournalEntry> = {}): JournalEntry {
  return {
    ...blankEntry(),
    ...{ wallMs: 1_790_000_000_000.5, durationUs: 1_234.5, status: 200, outcome: 2, endpoint: 7 },
    ...{ server: 3, replica: 1, sends: 2, isCached: true, replyBytes: 3_000_000_000 },
    ...{ gatewayUs: 200.5, queueUs: 30, connectUs: 4, upstreamUs: 1_000 },
    errorNumber: numberOfError('GW_UPSTREAM_TIMEOUT'),
    method: 'tools/call',
    trace: '4bf92f3577b34da6a3ce929d0e0e4736',
    id: 'abc-1',
    body: BODY,
    nameStart: NAME_START,
    nameEnd: NAME_START + 5,
    ...parts,
  };
}

describe('one journal', () => {
  test('gives back what was written', () => {
    const memory = make();
    new JournalWriter(memory, 1).write(entry());
    expect(readJournal(memory, 1, 10)).toEqual([
      {
        worker: 1,
        ordinal: 0,
        wallMs: 1_790_000_000_000.5,
        durationUs: 1_234.5,
        status: 200,
        outcome: 2,
        endpoint: 7,
        ...{ server: 3, replica: 1, sends: 2, isCached: true, errorCode: 'GW_UPSTREAM_TIMEOUT' },
        ...{ gatewayUs: 200.5, queueUs: 30, connectUs: 4, upstreamUs: 1_000 },
        ...{ requestBytes: BODY.length, replyBytes: 3_000_000_000 },
        method: 'tools/call',
        name: 'écho',
        id: 'abc-1',
        trace: '4bf92f3577b34da6a3ce929d0e0e4736',
        body: BODY,
      },
    ]);
    expect(readJournal(memory, 0, 10)).toEqual([]);
  });

  test('keeps the last ones, newest first', () => {
    const memory = make();
    const journal = new JournalWriter(memory, 0);
    for (let status = 1; status <= 11; status++) journal.write(entry({ status }));
    expect(readJournal(memory, 0, 10).map(({ status }) => status)).toEqual([11, 10, 9, 8]);
    expect(readJournal(memory, 0, 2).map(({ status }) => status)).toEqual([11, 10]);
  });

  test('cuts texts to their room, characters whole, and never writes beyond the record', () => {
    const memory = make();
    const journal = new JournalWriter(memory, 0);
    const long = encode('n'.repeat(2_000));
    journal.write(entry({ status: 1 }));
    journal.write(entry({ status: 2 }));
    journal.write(
      entry({ method: `x${'é'.repeat(100)}`, id: 'i'.repeat(100), body: long, nameStart: 10, nameEnd: 500 }),
    );
    journal.write(entry({ status: 4 }));
    const [, cut, before] = readJournal(memory, 0, 10);
    expect(cut?.method).toBe(`x${'é'.repeat(31)}`);
    expect(cut?.id).toBe('i'.repeat(JOURNAL.idBytesMax));
    expect(cut?.name).toBe('n'.repeat(JOURNAL.nameBytesMax));
    expect(cut?.trace).toHaveLength(JOURNAL.traceBytesMax);
    expect(cut?.body.length).toBe(512 - 128 - 63 - 96 - 48 - 32);
    expect([before?.status, before && decode(before.body)]).toEqual([2, decode(BODY)]);
    journal.write(entry({ method: '', id: '', body: EMPTY, nameStart: -1, nameEnd: -1 }));
    expect(readJournal(memory, 0, 1)).toMatchObject([{ method: '', name: '', id: '', body: EMPTY }]);
  });

  test('leaves out a record that somebody died in, until it is written again', () => {
    const memory = make();
    const journal = new JournalWriter(memory, 0);
    for (let status = 1; status <= 4; status++) journal.write(entry({ status }));
    const recordAt = (journalPlace(memory.plan, 0) + JOURNAL.headBytes) / 4;
    Atomics.add(memory.words, recordAt + JOURNAL_WORD.sequence, 1);
    expect(readJournal(memory, 0, 10).map(({ status }) => status)).toEqual([4, 3, 2]);
    new JournalWriter(memory, 0).write(entry({ status: 5 }));
    expect(readJournal(memory, 0, 10).map(({ status }) => status)).toEqual([5, 4, 3, 2]);
  });
});

test('journals of all workers come as one, newest first', () => {
  const memory = make();
  const writers = [new JournalWriter(memory, 0), new JournalWriter(memory, 1)];
  for (let n = 0; n < 6; n++) writers[n % 2]?.write(entry({ wallMs: n }));
  expect(readJournals(memory, 4).map(({ wallMs, worker }) => [wallMs, worker])).toEqual([
    [5, 1],
    [4, 0],
    [3, 1],
    [2, 0],
  ]);
});
