// Splits an event stream (WHATWG HTML §9.2) at its blank lines and notes where the fields of each event lie.
// Called by portable.ts. Promises: only whole events are reported; the same bytes cut elsewhere give the same events;
// makes nothing per call. native/sse/split.cc is its twin.
import { EVENT } from './contract.ts';

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const COLON = 0x3a;

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

const DATA = ascii('data');
const TYPE = ascii('event');
const ID = ascii('id');
const RETRY = ascii('retry');

/** Writes the whole events of bytes[start…end) into `events` and returns how many, exactly as contract.ts words it. */
export function splitEvents(
  bytes: Uint8Array,
  start: number,
  end: number,
  last: boolean,
  events: Int32Array,
): number {
  const most = Math.floor(events.length / EVENT.length);
  let count = 0;
  let line = start;
  if (most > 0) begin(events, 0, start);
  while (count < most) {
    let stop = line;
    while (stop < end && bytes[stop] !== LF && bytes[stop] !== CR) stop++;
    // The line is not whole yet; nor is it known to be when its CR may be the first half of a CRLF.
    if (stop === end || (bytes[stop] === CR && stop + 1 === end && !last)) break;
    const next = bytes[stop] === CR && stop + 1 < end && bytes[stop + 1] === LF ? stop + 2 : stop + 1;
    const place = count * EVENT.length;
    if (stop > line) field(bytes, line, stop, events, place);
    else {
      events[place + EVENT.end] = next;
      count++;
      if (count < most) begin(events, count * EVENT.length, next);
    }
    line = next;
  }
  return count;
}

function begin(events: Int32Array, place: number, start: number): void {
  events.fill(-1, place, place + EVENT.length);
  events[place + EVENT.start] = start;
  events[place + EVENT.dataLines] = 0;
}

/** Notes one line that is not blank. A line without a colon is a field with an empty value; one that starts with a colon is a comment. */
function field(bytes: Uint8Array, line: number, stop: number, events: Int32Array, place: number): void {
  let nameEnd = line;
  while (nameEnd < stop && bytes[nameEnd] !== COLON) nameEnd++;
  let value = nameEnd < stop ? nameEnd + 1 : stop;
  if (value < stop && bytes[value] === SPACE) value++;
  if (isName(bytes, line, nameEnd, DATA)) {
    if (events[place + EVENT.dataLines] === 0) events[place + EVENT.dataStart] = value;
    events[place + EVENT.dataEnd] = stop;
    events[place + EVENT.dataLines] = (events[place + EVENT.dataLines] ?? 0) + 1;
  } else if (isName(bytes, line, nameEnd, TYPE)) {
    events[place + EVENT.typeStart] = value;
    events[place + EVENT.typeEnd] = stop;
  } else if (isName(bytes, line, nameEnd, ID)) {
    if (holdsNul(bytes, value, stop)) return;
    events[place + EVENT.idStart] = value;
    events[place + EVENT.idEnd] = stop;
  } else if (isName(bytes, line, nameEnd, RETRY)) {
    if (!isDigits(bytes, value, stop)) return;
    events[place + EVENT.retryStart] = value;
    events[place + EVENT.retryEnd] = stop;
  }
}

function isName(bytes: Uint8Array, start: number, end: number, name: Uint8Array): boolean {
  if (end - start !== name.length) return false;
  for (let i = 0; i < name.length; i++) if (bytes[start + i] !== name[i]) return false;
  return true;
}

function holdsNul(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (bytes[at] === 0) return true;
  return false;
}

function isDigits(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if ((bytes[at] ?? 0) < 0x30 || (bytes[at] ?? 0) > 0x39) return false;
  return end > start;
}
