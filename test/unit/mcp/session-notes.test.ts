// What is remembered of a session, and what a new one is told.
// Runs mcp/session-notes.ts.
import { describe, expect, test } from 'bun:test';
import { decode, type Edit, encode } from '../../../src/base/bytes.ts';
import { LIMITS } from '../../../src/base/limits.ts';
import { SessionNotes, sessionNote, setsSession } from '../../../src/mcp/session-notes.ts';
import { chooseScanner } from '../../../src/scan/scan.ts';
import { messageOf } from '../../fixtures/messages.ts';

const scanner = chooseScanner('portable').scanner;

function noteOf(text: string, edits: readonly Edit[] = []) {
  const { bytes, envelope } = messageOf(text, scanner);
  return sessionNote(scanner, { body: bytes, envelope, edits });
}

function hear(notes: SessionNotes, method: string, params: object): void {
  const note = noteOf(JSON.stringify({ jsonrpc: '2.0', id: 9, method, params }));
  if (note !== null) notes.take(note);
}

const told = (notes: SessionNotes): unknown[] =>
  notes.repeats().map((bytes) => {
    const { method, params } = JSON.parse(decode(bytes));
    return [method, params];
  });

describe('a note', () => {
  test.each([
    ['another method', '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"uri":"a"}}'],
    ['a notification', '{"jsonrpc":"2.0","method":"resources/subscribe","params":{"uri":"a"}}'],
    ['no params', '{"jsonrpc":"2.0","id":1,"method":"resources/subscribe"}'],
    ['params that are an array', '{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":["debug"]}'],
    ['no resource', '{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{}}'],
    ['a resource that is none', '{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":1}}'],
  ])('is not made of %s', (_what, text) => expect(noteOf(text)).toBeNull());

  test('keeps the bytes but for _meta, and outlives the message', () => {
    const { bytes, envelope } = messageOf(
      '{"id":1,"jsonrpc":"2.0","params":{"_meta":{"progressToken":1}, "uri":"a\\u002f1","x":1.0},"method":"resources\\/subscribe"}',
    );
    const note = sessionNote(scanner, { body: bytes, envelope });
    bytes.fill(0);
    expect(note).toMatchObject({ method: 'resources/subscribe', uri: 'a/1' });
    expect(decode(note?.params ?? bytes)).toBe('{"uri":"a\\u002f1","x":1.0}');
  });

  test('says what the server hears', () => {
    const text = '{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"one+a://1"}}';
    const start = text.indexOf('one+');
    const note = noteOf(text, [{ start, end: start + 4, insert: encode('') }]);
    expect(note?.uri).toBe('a://1');
    expect(decode(note?.params ?? encode(''))).toBe('{"uri":"a://1"}');
  });

  test('is of three methods', () => {
    expect(['logging/setLevel', 'resources/subscribe', 'resources/unsubscribe'].every(setsSession)).toBe(
      true,
    );
    expect([null, '', 'tools/call'].some(setsSession)).toBe(false);
  });
});

describe('a new session', () => {
  test('hears the last level, then what is still subscribed to, under ids of its own', () => {
    const notes = new SessionNotes();
    expect(notes.repeats()).toEqual([]);
    hear(notes, 'resources/subscribe', { uri: 'a://1' });
    hear(notes, 'logging/setLevel', { level: 'info' });
    hear(notes, 'resources/subscribe', { uri: 'a://2' });
    hear(notes, 'resources/subscribe', { uri: 'a://2', x: 1 });
    hear(notes, 'resources/unsubscribe', { uri: 'a://1' });
    hear(notes, 'resources/unsubscribe', { uri: 'a://3' });
    hear(notes, 'logging/setLevel', { level: 'debug' });
    expect(told(notes)).toEqual([
      ['logging/setLevel', { level: 'debug' }],
      ['resources/subscribe', { uri: 'a://2', x: 1 }],
    ]);
    expect(notes.subscribes).toBe(true);
    hear(notes, 'resources/unsubscribe', { uri: 'a://2' });
    expect(notes.subscribes).toBe(false);
    const ids = notes.repeats().map((bytes) => JSON.parse(decode(bytes)).id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('hears as much as was kept: there is a bound, and room again behind it', () => {
    const notes = new SessionNotes();
    const uri = (n: number): string => `a://${n}/${'x'.repeat(1_000)}`;
    for (let n = 0; n < 200; n++) hear(notes, 'resources/subscribe', { uri: uri(n) });
    const bytes = notes.repeats().reduce((sum, one) => sum + one.length, 0);
    const kept = notes.repeats().length;
    expect(kept).toBeGreaterThan(40);
    expect(kept).toBeLessThan(65);
    expect(bytes).toBeLessThan(LIMITS.sessionNotesBytesMax * 1.2);
    for (let n = 0; n < 200; n++) hear(notes, 'resources/unsubscribe', { uri: uri(n) });
    hear(notes, 'resources/subscribe', { uri: uri(500) });
    expect(told(notes)).toEqual([['resources/subscribe', { uri: uri(500) }]]);
    hear(notes, 'logging/setLevel', { level: 'debug' });
    hear(notes, 'logging/setLevel', { level: 'x'.repeat(LIMITS.sessionNotesBytesMax) });
    expect(told(notes)).toHaveLength(1);
  });
});
