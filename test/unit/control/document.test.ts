// Tests of the three formats: equal values, lines of keys, faults with lines.
// Promises: what holds for one format is asked of all; fast-check prints its seed on failure.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { stringify as tomlText } from 'smol-toml';
import { stringify as yamlText } from 'yaml';
import { type Format, formatOf, parseDocument } from '../../../src/control/document.ts';
import type { KeyPath } from '../../../src/control/problem.ts';

const YAML = `# comment
listen:
  host: 127.0.0.1
  port: 8700
servers:
  files:
    command: npx
    args: [-y, "x"]
  web: { url: "http://x/mcp",
    headers: { A: b } }
  many:
    args:
      - one
      - two
`;
const JSONC = `{
  // comment
  "listen": { "host": "127.0.0.1",
    "port": 8700 },
  "servers": {
    "files": {
      "command": "npx", "args": ["-y", "x"] },
    "web": { "url": "http://x/mcp",
      "headers": { "A": "b" } },
    "many": {
      "args": [
        "one",
        "two",
      ] } }
}
`;
const TOML = `# comment
[listen]
host = "127.0.0.1" # [not.a.table]
port = 8700
[servers.files]
command = """npx"""
args = ["-y", 'x']
[servers.web]
url = "http://x/mcp"
headers = { A = "b" }
[servers."many"]
args = [
  # comment
  "one",
  "two",
]
`;
const VALUE = {
  listen: { host: '127.0.0.1', port: 8700 },
  servers: {
    files: { command: 'npx', args: ['-y', 'x'] },
    web: { url: 'http://x/mcp', headers: { A: 'b' } },
    many: { args: ['one', 'two'] },
  },
};

describe('formats', () => {
  test.each([
    ['a.yaml', 'yaml'],
    ['a.YML', 'yaml'],
    ['.mcp.json', 'json'],
    ['a.jsonc', 'json'],
    ['x/a.toml', 'toml'],
    ['a.ini', null],
    ['yaml', null],
  ])('%p is %p', (name, format) => {
    expect(formatOf(name)).toBe(format as Format | null);
  });

  test.each([
    ['yaml', YAML],
    ['json', JSONC],
    ['toml', TOML],
    ['yaml', `\ufeff${YAML}`],
    ['json', `\ufeff${JSONC}`],
    ['toml', `\ufeff${TOML}`],
    ['yaml', YAML.replaceAll('\n', '\r\n')],
    ['toml', TOML.replaceAll('\n', '\r\n')],
  ] as const)('%p gives the same value', async (format, text) => {
    const document = await parseDocument(text, format);
    expect(document.faults).toEqual([]);
    expect(document.value).toEqual(VALUE);
  });

  const lines: readonly [KeyPath, number, number, number][] = [
    [['listen'], 2, 3, 2],
    [['listen', 'port'], 4, 4, 4],
    [['servers', 'files'], 6, 6, 5],
    [['servers', 'files', 'args'], 8, 7, 7],
    [['servers', 'files', 'args', 1], 8, 7, 7],
    [['servers', 'web', 'headers', 'A'], 10, 9, 10],
    [['servers', 'many', 'args', 1], 14, 13, 15],
    [['servers', 'many', 'absent', 'deep'], 11, 10, 11],
    [['servers', 'files', 'args', 9], 8, 7, 7],
  ];
  test.each(lines)('knows the line of %p', async (path, yaml, json, toml) => {
    expect((await parseDocument(YAML, 'yaml')).lineOf(path)).toBe(yaml);
    expect((await parseDocument(JSONC, 'json')).lineOf(path)).toBe(json);
    expect((await parseDocument(TOML, 'toml')).lineOf(path)).toBe(toml);
  });

  test('TOML: lines of lists of tables, dotted and quoted keys, and strings that look like tables', async () => {
    const text =
      'a.b = 1\n[[list]]\nx = """\n[no]\ny = 1\n"""\n[[list]]\n"k.\\u0041" = 2\nx = \'\'\'\n]]\n\'\'\'\n[list.sub]\nz = [ { q = 1 },\n { q = 2 } ]\n';
    const { lineOf, faults } = await parseDocument(text, 'toml');
    expect(faults).toEqual([]);
    expect(lineOf(['a', 'b'])).toBe(1);
    expect(lineOf(['list', 0, 'x'])).toBe(3);
    expect(lineOf(['list', 1])).toBe(7);
    expect(lineOf(['list', 1, 'k.A'])).toBe(8);
    expect(lineOf(['list', 1, 'x'])).toBe(9);
    expect(lineOf(['list', 1, 'sub', 'z', 1, 'q'])).toBe(14);
  });
});

describe('faults', () => {
  const cases: readonly [Format, string, number, string][] = [
    ['yaml', 'a: 1\nb: 2\na: 3\n', 3, 'already there'],
    ['yaml', 'a: {b: 1,\n b: 2}\n', 2, 'already there'],
    ['yaml', 'a: 1\n\tb: 2\n', 2, 'tab'],
    ['yaml', 'a: *nope\n', 1, 'alias'],
    ['yaml', 'a: !secret x\n', 1, 'tag'],
    ['yaml', 'a: "x\n', 2, 'missing'],
    ['yaml', 'x: 1\na: { b: ${NAME} }\n', 2, 'put quotes around'],
    ['yaml', '---\na: 1\n---\nb: 1\n', 3, 'second document'],
    ['json', '{"a": 1,\n "a": 2}', 2, 'already there'],
    ['json', '{"a": 1\n "b": 2}', 2, 'comma'],
    ['json', '{"a": }', 1, 'no value'],
    ['json', '{"a": 1', 1, 'closing }'],
    ['json', '', 1, 'no value'],
    ['json', '{"a": "\\q"}', 1, 'escape'],
    ['json', '{} {}', 1, 'after the end'],
    ['toml', 'a = 1\na = 2\n', 2, 'redefine'],
    ['toml', 'a = 1\nb = \n', 2, ''],
    ['toml', '[a]\n[a]\n', 2, 'redefine'],
  ];
  test.each(cases)('%p %p: line %p, %p', async (format, text, line, said) => {
    const { faults } = await parseDocument(text, format);
    expect(faults[0]?.line).toBe(line);
    expect(faults[0]?.detail).toContain(said);
  });

  test('a duplicate names its key', async () => {
    const yaml = await parseDocument('a:\n  - x: {k: 1, k: 2}\n', 'yaml');
    expect(yaml.faults[0]?.path).toEqual(['a', 0, 'x', 'k']);
    const json = await parseDocument('{"a": [{"x": {"k": 1, "k": 2}}]}', 'json');
    expect(json.faults[0]?.path).toEqual(['a', 0, 'x', 'k']);
  });

  test('all faults of YAML and JSON come at once', async () => {
    expect((await parseDocument('a: 1\na: 2\nb: 1\nb: 2\n', 'yaml')).faults).toHaveLength(2);
    expect((await parseDocument('{"a":1,"a":2,"b":[1,,2]}', 'json')).faults.length).toBeGreaterThanOrEqual(2);
  });

  test('no text of the file gets into a fault', async () => {
    const secret = 'sk-very-secret';
    const broken: readonly [Format, string][] = [
      ['yaml', `token: *${secret}\n`],
      ['yaml', `token: !${secret} x\n`],
      ['yaml', `token: "\\q${secret}"\n`],
      ['yaml', `token: |${secret}\n`],
      ['yaml', `token: @${secret}\nb: [\n`],
      ['json', `{"token": ${secret}}`],
      ['json', `{"token": "\\${secret}}`],
      ['toml', `token = ${secret}\n`],
      ['toml', `token = "\\q${secret}"\n`],
      ['toml', `token = "${secret}\n`],
      ['toml', `["${secret}"]\n["${secret}"]\n`],
    ];
    for (const [format, text] of broken) {
      const { faults } = await parseDocument(text, format);
      expect(faults.length).toBeGreaterThan(0);
      expect(JSON.stringify(faults)).not.toContain('very-secret');
    }
  });

  test('__proto__ is a key like any other', async () => {
    for (const [format, text] of [
      ['yaml', '__proto__: { polluted: true }\n'],
      ['json', '{"__proto__": {"polluted": true}}'],
      ['toml', '[__proto__]\npolluted = true\n'],
    ] as const) {
      const { value } = await parseDocument(text, format);
      expect(Object.keys(value as object)).toEqual(['__proto__']);
      expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    }
  });
});

describe('any document', () => {
  const key = fc.stringMatching(/^[a-z][a-z0-9_-]{0,6}$/);
  const leaf = fc.oneof(
    fc.stringMatching(/^[ -~]{0,12}$/),
    fc.integer({ min: -1e6, max: 1e6 }),
    fc.boolean(),
  );
  const tree = fc.dictionary(
    key,
    fc.oneof(
      leaf,
      fc.array(leaf, { maxLength: 3 }),
      fc.dictionary(key, fc.oneof(leaf, fc.dictionary(key, leaf, { maxKeys: 3 })), { maxKeys: 3 }),
    ),
    { minKeys: 1, maxKeys: 4 },
  );
  const writers: readonly [Format, (value: Record<string, unknown>) => string][] = [
    ['yaml', (value) => yamlText(value)],
    ['json', (value) => JSON.stringify(value, null, 1)],
    ['toml', (value) => tomlText(value)],
  ];

  test('comes back as it was written, and each key is on the line that is told', async () => {
    await fc.assert(
      fc.asyncProperty(tree, async (value) => {
        for (const [format, write] of writers) {
          const text = write(value);
          const document = await parseDocument(text, format);
          expect(document.faults).toEqual([]);
          expect(document.value).toEqual(value);
          const lines = text.split('\n');
          const visit = (node: unknown, path: KeyPath): void => {
            if (node === null || typeof node !== 'object' || Array.isArray(node)) return;
            for (const [name, below] of Object.entries(node)) {
              expect(lines[document.lineOf([...path, name]) - 1]).toContain(name);
              visit(below, [...path, name]);
            }
          };
          visit(value, []);
        }
      }),
      { numRuns: 150 },
    );
  });
});
