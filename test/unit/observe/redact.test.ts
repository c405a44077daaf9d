// What a log never shows, and what it must go on to show.
// Runs src/observe/redact.ts; secrets in it are made up.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { nameRule, REDACTED, redactText, redactValue } from '../../../src/observe/redact.ts';

const JWT = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.SflKxwRJSMeKKF2QT4fwpMeJf36P';

describe('texts that look like secrets', () => {
  const cases: readonly (readonly [text: string, secret: string])[] = [
    ['Authorization: Bearer abcdef123456', 'abcdef123456'],
    ['used Basic dXNlcjpwYXNz here', 'dXNlcjpwYXNz'],
    [`token ${JWT} expired`, JWT],
    ['key sk-proj-abcdefghijklmnop1234 was refused', 'sk-proj-abcdefghijklmnop1234'],
    ['ghp_abcdefghijklmnopqrstuvwxyz0123456789', 'ghp_abcdefghijklmnopqrstuvwxyz0123456789'],
    ['AKIAIOSFODNN7EXAMPLE', 'AKIAIOSFODNN7EXAMPLE'],
    ['postgres://me:hunter2@db/x', 'hunter2'],
    ['https://x.example/mcp?api_key=topsecret&page=2', 'topsecret'],
    ['-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----', 'MIIB'],
  ];
  for (const [text, secret] of cases)
    test(`is not shown: ${text.slice(0, 30)}`, () => {
      const shown = redactText(text);
      expect(shown).not.toContain(secret);
      expect(shown).toContain(REDACTED);
    });

  test('what surrounds them stays', () => {
    expect(redactText('https://x.example/mcp?api_key=topsecret&page=2')).toBe(
      `https://x.example/mcp?api_key=${REDACTED}&page=2`,
    );
    expect(redactText('postgres://me:hunter2@db/x')).toBe(`postgres://me:${REDACTED}@db/x`);
  });

  test('everything else is shown as it is', () => {
    for (const text of [
      '',
      'connection refused',
      'http://127.0.0.1:8700/mcp',
      'basic',
      'tools/call search__find',
    ])
      expect(redactText(text)).toBe(text);
  });
});

describe('values of names that mean a secret', () => {
  const isHidden = nameRule(['ssn', 'patient*']);

  test('are hidden at any depth, whatever they are', () => {
    const value = {
      user: 'ann',
      Password: 'p',
      list: [{ apiKey: 'k', accessToken: { a: 1 } }],
      SSN: 12,
      patientName: 'b',
    };
    expect(redactValue(value, isHidden)).toEqual({
      user: 'ann',
      Password: REDACTED,
      list: [{ apiKey: REDACTED, accessToken: REDACTED }],
      SSN: REDACTED,
      patientName: REDACTED,
    });
  });

  test('property: nothing of a hidden value is left, and what is not hidden keeps its shape', () => {
    fc.assert(
      fc.property(
        fc.jsonValue(),
        fc.string({ minLength: 1 }).filter((name) => name !== '__proto__'),
        (other, name) => {
          const secret = 'NEVER-SHOWN';
          const shown = redactValue({ [name]: 1, token: { deep: [secret, other] } }, isHidden);
          expect(JSON.stringify(shown)).not.toContain(secret);
          if (!isHidden(name)) expect(shown).toHaveProperty([name], 1);
        },
      ),
      { numRuns: 200 },
    );
  });

  test('what is deeper than anybody reads is cut', () => {
    let deep: unknown = 1;
    for (let level = 0; level < 40; level++) deep = [deep];
    expect(JSON.stringify(redactValue(deep, isHidden))).toBe(`${'['.repeat(16)}"…"${']'.repeat(16)}`);
  });
});
