// Tests that the generated papers are what the code says, and that the error table is sane.
// Promises: reads the papers in the tree; changes nothing.
import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { generate, stale } from '../../../scripts/docs.ts';
import { ERRORS, type ErrorRow } from '../../../src/base/errors.ts';
import { annotatedSchema, editorSchema, type SchemaNode } from '../../../src/control/editor.ts';

const text = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');

describe('generated papers', () => {
  test('are in step with the code (else: npm run docs)', async () => {
    expect(await stale()).toEqual([]);
  });

  test('are the four that there should be', async () => {
    expect((await generate()).map((file) => file.path)).toEqual([
      'docs/config.md',
      'docs/errors.md',
      'docs/metrics.md',
      'docs/sluice.schema.json',
    ]);
  });

  test('every option has a meaning and is in docs/config.md', () => {
    const page = text('docs/config.md');
    let count = 0;
    const visit = (node: SchemaNode): void => {
      for (const [key, child] of Object.entries(node.properties ?? {})) {
        count++;
        expect(child.description ?? '').not.toBe('');
        expect(page).toContain(`| \`${key}\` |`);
        visit(child);
      }
      for (const branch of node.anyOf ?? []) visit(branch);
      if (typeof node.additionalProperties === 'object') visit(node.additionalProperties);
    };
    visit(annotatedSchema());
    expect(count).toBeGreaterThan(50);
    expect(page).not.toContain('undefined');
  });

  test('the editors’ schema refuses unknown keys, lets references stand for numbers, and has no words of our own', () => {
    const schema = editorSchema() as SchemaNode;
    expect(schema.additionalProperties).toBe(false);
    expect(schema.required).toEqual(['servers']);
    expect(schema.properties?.listen?.properties?.port?.anyOf).toEqual([
      { type: 'integer', minimum: 0, maximum: 65_535 },
      { type: 'string', pattern: '^\\$\\{[^{}]+\\}$' } as SchemaNode,
    ]);
    expect(JSON.stringify(schema)).not.toContain('"unit"');
  });
});

describe('the error table', () => {
  const rows: [string, ErrorRow][] = Object.entries(ERRORS);
  const CLIENT_CODES = [-32700, -32600, -32601, -32602, -32001, -32020, -32021, -32022];

  test('docs/errors.md has each row, with its numbers, and no other', () => {
    const documented = new Map<string, string[]>();
    for (const line of text('docs/errors.md').split('\n')) {
      const cells = line.split('|').map((cell) => cell.trim());
      const code = /^`(GW_[A-Z0-9_]+)`$/.exec(cells[1] ?? '')?.[1];
      if (code === undefined) continue;
      expect(documented.has(code)).toBe(false);
      documented.set(code, cells.slice(2, 6));
    }
    expect([...documented.keys()]).toEqual(rows.map(([code]) => code));
    for (const [code, row] of rows) {
      expect(documented.get(code)).toEqual([String(row.http), String(row.jsonrpc), row.source, row.retry]);
    }
  });

  test.each(rows)('%s is sane', (code, row) => {
    expect(code).toMatch(/^GW_[A-Z0-9]+_[A-Z0-9_]+$/);
    expect(row.message).toMatch(/^Cannot .*[^. ]$/);
    const isConfig = code.startsWith('GW_CONFIG_');
    if (row.source === 'client') {
      // Configuration faults end the start; if one ever reached a caller, the caller would not be at fault.
      if (isConfig) expect([row.http, row.jsonrpc]).toEqual([500, -32603]);
      else expect(row.http).toBeLessThan(500);
      expect(row.retry).toBe('never');
    } else {
      expect(row.http).toBeGreaterThanOrEqual(500);
      expect(CLIENT_CODES).not.toContain(row.jsonrpc);
    }
    if (row.http === 503) expect(row.retry).not.toBe('never');
    if (row.http === 504) expect(row.retry).toBe('never');
    expect(Number.isInteger(row.http) && row.http >= 200 && row.http < 600).toBe(true);
  });
});
