// The scanner in TypeScript: the twin of the native addon, number for number and code for code.
// Called by scan.ts, and by tests as the second opinion on the addon. Promises: serves wherever there is no compiler,
// makes nothing per call, needs nothing but the language.
import { assert } from '../base/assert.ts';
import { LIMITS } from '../base/limits.ts';
import { ENVELOPE, EVENT, HEAD, SCAN, type Scanner } from './contract.ts';
import { HeadReader } from './head.ts';
import { EnvelopeReader } from './json.ts';
import { RouteLookup } from './lookup.ts';
import { routeMessage } from './routed.ts';
import { splitEvents } from './sse.ts';

/** Numbers that head() may write: the fixed part and four for each header line. */
const HEAD_LENGTH = HEAD.headers + 4 * LIMITS.replyHeaderCountMax;
/** Offsets must fit the Int32Array that they are written to. */
const OFFSET_MAX = 0x7fff_ffff;

function isRange(bytes: Uint8Array, start: number, end: number): boolean {
  return start >= 0 && start <= end && end <= bytes.length && end <= OFFSET_MAX;
}

/** Makes a scanner of its own scratch space: one per thread is enough. */
export function portableScanner(): Scanner {
  const envelopes = new EnvelopeReader();
  const heads = new HeadReader();
  return {
    name: 'portable',
    kernel: 'typescript',
    scan(bytes, start, end, envelope) {
      assert(
        isRange(bytes, start, end) && envelope.length >= ENVELOPE.length,
        'scan() gets a range of the bytes and a whole envelope',
      );
      return envelopes.read(bytes, start, end, envelope);
    },
    head(bytes, start, end, head) {
      assert(
        isRange(bytes, start, end) && head.length >= HEAD_LENGTH,
        'head() gets a range of the bytes and room for every header',
      );
      return heads.read(bytes, start, end, head);
    },
    sse(bytes, start, end, last, events) {
      assert(
        isRange(bytes, start, end) && events.length >= EVENT.length,
        'sse() gets a range of the bytes and room for an event',
      );
      return splitEvents(bytes, start, end, last, events);
    },
    withRoutes(table) {
      const lookup = new RouteLookup(table);
      return {
        scan(bytes, envelope, endpoint) {
          assert(
            bytes.length <= OFFSET_MAX && envelope.length >= ENVELOPE.length && endpoint >= 0,
            'scan() gets a whole envelope and an endpoint',
          );
          const code = envelopes.read(bytes, 0, bytes.length, envelope);
          if (code === SCAN.ok) routeMessage(lookup, bytes, envelope, endpoint);
          return code;
        },
      };
    },
  };
}
