// Tests of ${NAME} references.
// Promises: pure; the environment is given.
import { describe, expect, test } from 'bun:test';
import { resolveReferences } from '../../../src/control/references.ts';

const env = { TOKEN: 'abc', EMPTY: '', NESTED: '$' + '{TOKEN}', PORT: '8080' };

function resolved(value: unknown): unknown {
  const outcome = resolveReferences(value, env);
  expect(outcome.faults).toEqual([]);
  return outcome.value;
}

describe('references', () => {
  test.each([
    ['plain', 'plain'],
    ['$TOKEN', '$TOKEN'],
    ['${TOKEN}', 'abc'],
    ['Bearer ${TOKEN}!', 'Bearer abc!'],
    ['${TOKEN}${TOKEN}', 'abcabc'],
    ['${env:TOKEN}', 'abc'],
    ['${MISSING:-fallback}', 'fallback'],
    ['${MISSING:-}', ''],
    ['${EMPTY}', ''],
    ['${EMPTY:-fallback}', 'fallback'],
    ['${MISSING:-http://127.0.0.1:1/mcp}', 'http://127.0.0.1:1/mcp'],
    ['$${TOKEN}', '${TOKEN}'],
    ['cost: 5$', 'cost: 5$'],
  ])('%p becomes %p', (text, result) => {
    expect(resolved(text)).toBe(result);
  });

  test('what comes from the environment is not read again', () => {
    expect(resolved('${NESTED}')).toBe('${TOKEN}');
  });

  test('reaches into lists and mappings, leaves keys and other values alone', () => {
    expect(resolved({ '${TOKEN}': ['${TOKEN}', 1, null, true, { a: '${TOKEN}' }] })).toEqual({
      '${TOKEN}': ['abc', 1, null, true, { a: 'abc' }],
    });
  });

  test('tells which values are one reference and nothing else', () => {
    const { whole } = resolveReferences({ port: '${PORT}', text: 'a${PORT}', two: '${PORT}${PORT}' }, env);
    expect([...whole]).toEqual(['["port"]']);
  });

  test.each([
    ['${MISSING}', 'MISSING'],
    ['${TOKEN', 'without its }'],
    ['${}', 'no variable name'],
    ['${9x}', 'no variable name'],
    ['${TOKEN-x}', 'no variable name'],
    ['${input:key}', 'only the client'],
    ['${workspaceFolderBasename}', 'only the client'],
    ['${toString}', 'toString'],
  ])('%p is a fault that speaks of %p', (text, said) => {
    const { faults } = resolveReferences({ a: [text] }, env);
    expect(faults).toHaveLength(1);
    expect(faults[0]?.path).toEqual(['a', 0]);
    expect(faults[0]?.detail).toContain(said);
  });

  test('every fault is reported, and no value of the environment with it', () => {
    const { faults } = resolveReferences(['${A}', '${B} ${C}', '${TOKEN}'], { TOKEN: 'very secret' });
    expect(faults).toHaveLength(3);
    expect(JSON.stringify(faults)).not.toContain('very secret');
  });
});
