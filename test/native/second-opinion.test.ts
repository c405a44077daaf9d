// A third opinion on what is JSON: the npm package `simdjson`, an older binding of the same library, when it is installed.
// Promises: what it accepts we accept. It is stricter in three documented ways, which are let pass: it refuses lone surrogates, numbers
// that no 64-bit integer or double holds, and nesting beyond 1024 levels (ours ends at LIMITS.jsonDepthMax before that).
import { expect, test } from 'bun:test';
import { createRequire } from 'node:module';
import { encode } from '../../src/base/bytes.ts';
import { ENVELOPE, SCAN } from '../../src/scan/contract.ts';
import { chooseScanner } from '../../src/scan/scan.ts';
import { CORPUS, NUMBERS, VERDICTS } from '../contract/scanner-corpus.ts';

interface Binding {
  isValid(text: string): boolean;
}

function load(): Binding | string {
  try {
    return createRequire(import.meta.url)('simdjson') as Binding;
  } catch (thrown) {
    return String(thrown).split('\n', 1)[0] ?? '';
  }
}

const binding = load();

if (typeof binding === 'string') {
  console.log(`second opinion: not asked, the optional package simdjson does not load (${binding})`);
} else {
  test('what the npm package simdjson accepts, we accept, and the other way round but for its documented rules', () => {
    const { scanner } = chooseScanner('auto');
    const envelope = new Int32Array(ENVELOPE.length);
    const isStricter = (text: string) => /\\u[dD][89a-fA-F]/.test(text) || /\d{17}|\d[eE]/.test(text);
    let accepted = 0;
    const compare = (text: string) => {
      const bytes = encode(text);
      const code = scanner.scan(bytes, 0, bytes.length, envelope);
      const theirs = binding.isValid(text);
      if (theirs) accepted++;
      if (theirs ? code !== SCAN.ok && code !== SCAN.depth : code === SCAN.ok && !isStricter(text)) {
        expect([text, code, theirs]).toEqual([text, theirs ? SCAN.ok : SCAN.syntax, theirs]);
      }
    };
    for (const text of CORPUS) {
      for (let at = 0; at <= text.length; at += 3) {
        compare(text.slice(0, at));
        for (const change of ['', ',', ':', '"', '{', ']', '\\', '0', 'e', ' '])
          compare(text.slice(0, at) + change + text.slice(at + 1));
      }
      compare(text);
    }
    for (const [, text] of VERDICTS) if (typeof text === 'string' && text.length < 10_000) compare(text);
    for (const [number] of NUMBERS) compare(`[${number}]`);
    expect(accepted).toBeGreaterThan(CORPUS.length);
  });
}
