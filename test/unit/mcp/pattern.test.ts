// Patterns choose whole names, and none can be made slow.
// Run by `bun test`; pure.
import { expect, test } from 'bun:test';
import { Patterns, patternFault } from '../../../src/mcp/pattern.ts';

test('names, * and ?, and expressions fit whole names', () => {
  const patterns = new Patterns(['plain', 'get_*', 'x?z', '/list_(a|b)\\d{1,2}/'], false);
  for (const name of ['plain', 'get_', 'get_all', 'xyz', 'list_a1', 'list_b22'])
    expect(patterns.fit(name)).toBe(true);
  for (const name of ['plainer', 'Plain', 'forget_', 'xz', 'list_c1', 'list_a', 'my_list_a1', '/list_a1/'])
    expect(patterns.fit(name)).toBe(false);
  // A slash alone, or two of them, make no expression.
  expect(new Patterns(['/', '//'], false).fit('//')).toBe(true);
});

test('what could take long is refused', () => {
  for (const good of ['a', '*', '/a+b*/', '/[a+*]+x?\\*/', '/(a|b)?c/', '/\\(+/'])
    expect([good, patternFault(good)]).toEqual([good, null]);
  for (const bad of [
    '',
    'x'.repeat(257),
    '/(a+)+/',
    '/(a|a)*b/',
    '/(a){2,}/',
    '/a*b*c*/',
    '/(?=a)b/',
    '/(?<n>a)/',
    '/(a)\\1/',
    '/(/',
    '/[/',
    '/a{2/',
  ])
    expect([bad, patternFault(bad) === null]).toEqual([bad, false]);
});

test('a name that is too long for expressions is shown by none and hidden by all', () => {
  const long = 'a'.repeat(257);
  expect([
    new Patterns(['/a+/'], false).fit(long),
    new Patterns(['/b+/'], true).fit(long),
    new Patterns(['a*'], false).fit(long),
  ]).toEqual([false, true, true]);
});
