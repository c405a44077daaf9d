// Keeps the C++ names of codes, slots and limits equal to the TypeScript ones, in both directions.
// Promises: a row added, renamed or renumbered on one side only fails here. Reads the files, so no build is needed.
import { expect, test } from 'bun:test';
import { join } from 'node:path';
import { LIMITS } from '../../src/base/limits.ts';
import {
  ROUTE_HALF,
  ROUTE_HEAD,
  ROUTE_MAGIC,
  ROUTE_RECORD,
  ROUTE_SLOT,
} from '../../src/memory/route-layout.ts';
import {
  ENVELOPE,
  EVENT,
  FLAG,
  HEAD,
  HEAD_RESULT,
  KIND,
  MEDIA,
  ROUTE,
  ROUTE_KIND,
  SCAN,
} from '../../src/scan/contract.ts';

const root = join(import.meta.dir, '../..');

function read(file: string): Promise<string> {
  return Bun.file(join(root, file)).text();
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function inSnake(table: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(table).map(([name, number]) => [snake(name), number]));
}

/** Body of `opening … closing` in a C++ file. */
function section(text: string, opening: string, closing: string): string {
  const start = text.indexOf(opening);
  expect([opening, start >= 0]).toEqual([opening, true]);
  return text.slice(start, text.indexOf(closing, start));
}

/** Names and numbers of `constexpr TYPE name = number;` or of enumerators; products are multiplied out. */
function numbers(text: string): Record<string, number> {
  const rows = text.matchAll(/^\s*(?:constexpr \w+ )?(\w+) = ([-\d *]+)[;,]/gm);
  return Object.fromEntries(
    Array.from(rows, ([, name, value]) => [
      name,
      (value ?? '').split('*').reduce((product, factor) => product * Number(factor), 1),
    ]),
  );
}

test('result codes', async () => {
  const text = await read('native/core/result.h');
  expect(numbers(section(text, 'enum class Scan', '};'))).toEqual(inSnake(SCAN));
  expect(numbers(section(text, 'enum class HeadResult', '};'))).toEqual(inSnake(HEAD_RESULT));
});

test('places in the envelope', async () => {
  const text = await read('native/scan/envelope.h');
  expect(numbers(section(text, 'namespace sluice::kind {', '}'))).toEqual(inSnake(KIND));
  expect(numbers(section(text, 'namespace sluice::flag {', '}'))).toEqual(inSnake(FLAG));
  expect(numbers(section(text, 'namespace sluice::envelope {', '}'))).toEqual(inSnake(ENVELOPE));
});

test('places in a route table', async () => {
  const text = await read('native/route/layout.h');
  for (const [name, table] of Object.entries({
    route_head: ROUTE_HEAD,
    route_half: ROUTE_HALF,
    route_slot: ROUTE_SLOT,
    route_record: ROUTE_RECORD,
    route_kind: ROUTE_KIND,
  }))
    expect(numbers(section(text, `namespace sluice::${name} {`, '}'))).toEqual(inSnake(table));
  expect(text).toContain(`route_magic = 0x${ROUTE_MAGIC.toString(16)};`);
  const answers = section(await read('native/scan/envelope.h'), 'namespace sluice::route_answer {', '}');
  expect(numbers(answers)).toEqual(inSnake(ROUTE));
});

test('places in heads and events', async () => {
  const heads = await read('native/http/places.h');
  expect(numbers(section(heads, 'namespace sluice::head {', '}'))).toEqual(inSnake(HEAD));
  expect(numbers(section(heads, 'namespace sluice::media {', '}'))).toEqual(inSnake(MEDIA));
  const events = await read('native/sse/split.h');
  expect(numbers(section(events, 'namespace event {', '}'))).toEqual(inSnake(EVENT));
});

test('limits marked "native"', async () => {
  const source = await read('src/base/limits.ts');
  // A row is marked by its own comment.
  const marked = Array.from(
    source.matchAll(/\/\*\*[^*]*\(native[^*]*\*\/\s*(\w+):/g),
    ([, name]) => name ?? '',
  );
  expect(marked.length).toBeGreaterThan(3);
  const wanted = Object.fromEntries(
    marked.map((name) => [name, (LIMITS as Readonly<Record<string, number>>)[name] ?? Number.NaN]),
  );
  const text = await read('native/core/limits.h');
  expect(numbers(section(text, 'namespace sluice::limits {', '}'))).toEqual(inSnake(wanted));
});

test('only addon.cc and bind/ see Node-API, and only kernel.cc and simdjson.cc see simdjson', async () => {
  const files = Array.from(new Bun.Glob('native/**/*.{cc,h}').scanSync(root)).filter(
    (file) => !file.startsWith('native/test/'),
  );
  const including = async (header: string) => {
    const hits = await Promise.all(
      files.map(async (file) => ((await read(file)).includes(header) ? file : '')),
    );
    return hits.filter((file) => file !== '').sort();
  };
  const api = await including('#include <node_api.h>');
  expect(api.filter((file) => file !== 'native/addon.cc' && !file.startsWith('native/bind/'))).toEqual([]);
  expect(await including('#include <simdjson')).toEqual(['native/scan/kernel.cc', 'native/scan/simdjson.cc']);
});

test('C++ files are short and say what they are', async () => {
  for (const file of new Bun.Glob('native/**/*.{cc,h}').scanSync(root)) {
    const text = await read(file);
    const lines = text.split('\n');
    expect([file, lines.length <= 300]).toEqual([file, true]);
    expect([file, lines.slice(0, 2).every((line) => line.startsWith('// '))]).toEqual([file, true]);
    expect([file, text.includes('Promises:')]).toEqual([file, true]);
  }
});
