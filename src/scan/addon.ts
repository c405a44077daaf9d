// Loads the native addon and dresses it as a Scanner. The only file of this room that touches module loading.
// Called by scan.ts. Promises: a failure to load is returned with its reason, never swallowed and never thrown; each
// thread that calls it gets state of its own from the addon.
import { createRequire } from 'node:module';
import { assert } from '../base/assert.ts';
import type { Scanner } from './contract.ts';

/** What native/addon.cc exports; its first comment says what the numbers mean. */
interface Native {
  scan(bytes: Uint8Array, out: Int32Array): number | undefined;
  head(bytes: Uint8Array, out: Int32Array): number | undefined;
  sse(bytes: Uint8Array, out: Int32Array): number;
  router(table: Int32Array): ((bytes: Uint8Array, out: Int32Array) => number | undefined) | number;
  kernels(): string[];
  kernel(): string;
  useKernel(name: string): number;
  readonly build: string;
}

/** The addon as a scanner, with what only an addon has. */
export interface AddonScanner extends Scanner {
  readonly name: 'addon';
  /** Kernels that this processor can run, the best one first. */
  readonly kernels: readonly string[];
  /** Versions of simdjson and the compiler, and the processor that was compiled for. */
  readonly build: string;
  /** Uses another kernel in this thread (for tests). False when there is no such kernel. */
  useKernel(name: string): boolean;
}

/** Either the addon, or why there is none. */
export type AddonLoad =
  | { readonly scanner: AddonScanner; readonly failure: null }
  | { readonly scanner: null; readonly failure: string };

/** Where the build puts the addon, from this file on. */
const PLACE = '../../build/Release/sluice.node';
const WRONG_CALL = 'the addon gets a range of the bytes and an array with room for the answer';
const NO_TABLE = 'a route table was laid out by this version';

function isNative(loaded: unknown): loaded is Native {
  return (
    typeof loaded === 'object' &&
    loaded !== null &&
    'scan' in loaded &&
    'useKernel' in loaded &&
    'router' in loaded &&
    'build' in loaded
  );
}

/** Loads the addon from the package's build folder, or from `place` (a path, for tests). */
export function loadAddon(place: string = PLACE): AddonLoad {
  let loaded: unknown;
  try {
    loaded = createRequire(import.meta.url)(place);
  } catch (thrown) {
    return { scanner: null, failure: thrown instanceof Error ? firstLine(thrown.message) : String(thrown) };
  }
  if (!isNative(loaded)) return { scanner: null, failure: `${place} is not the addon of this version` };
  return { scanner: dress(loaded), failure: null };
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}

/** The SCAN code that the addon left in the envelope's kind. */
function codeOf(envelope: Int32Array): number {
  const kind = envelope[0] ?? 0;
  if (kind >= 0) return 0;
  envelope[0] = 0;
  return -kind;
}

function dress(native: Native): AddonScanner {
  return {
    name: 'addon',
    get kernel() {
      return native.kernel();
    },
    kernels: native.kernels(),
    build: native.build,
    useKernel: (name) => native.useKernel(name) === 1,
    scan(bytes, start, end, envelope) {
      // The range travels in the array that the answer comes in: two numbers fewer to convert at the border.
      envelope[0] = start;
      envelope[1] = end;
      assert(native.scan(bytes, envelope) === undefined, WRONG_CALL);
      return codeOf(envelope);
    },
    head(bytes, start, end, head) {
      head[0] = start;
      head[1] = end;
      assert(native.head(bytes, head) === undefined, WRONG_CALL);
      const bodyStart = head[0] ?? 0;
      return bodyStart >= 0 ? 0 : -bodyStart;
    },
    sse(bytes, start, end, last, events) {
      events[0] = start;
      events[1] = end;
      events[2] = last ? 1 : 0;
      const count = native.sse(bytes, events);
      assert(count >= 0, WRONG_CALL);
      return count;
    },
    withRoutes(table) {
      const router = native.router(new Int32Array(table));
      assert(typeof router === 'function', NO_TABLE);
      return {
        scan(bytes, envelope, endpoint) {
          envelope[0] = endpoint;
          assert(router(bytes, envelope) === undefined, WRONG_CALL);
          return codeOf(envelope);
        },
      };
    },
  };
}
