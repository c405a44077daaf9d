// The dashboard's files, made from the sources: which paths have one, and how they may be kept.
// Run by bun test. Promises: nothing is written; the bundler of this Bun is used once.
import { describe, expect, test } from 'bun:test';
import { uiAsset } from '../../../../src/control/admin/assets.ts';
import type { Files } from '../../../../src/runtime/runtime.ts';

/** From the sources no file is asked for. */
const NO_FILES = {} as Files;
const textOf = async (path: string): Promise<string> => {
  const asset = await uiAsset(NO_FILES, path);
  return asset === null ? '' : new TextDecoder().decode(asset.bytes);
};

describe('the page', () => {
  test('names its script and its styles, and they are there, for ever', async () => {
    const html = await textOf('/');
    const names = [...html.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map((match) => match[1] ?? '');
    expect(names.map((name) => name.replace(/-\w+\./, '.')).sort()).toEqual([
      '/assets/index.css',
      '/assets/index.js',
    ]);
    for (const name of names) {
      const asset = await uiAsset(NO_FILES, name);
      expect(asset).toMatchObject({ isImmutable: true });
      expect(asset?.contentType).toStartWith(name.endsWith('.js') ? 'text/javascript' : 'text/css');
      expect(asset?.bytes.length).toBeGreaterThan(1000);
      expect(asset?.etag).toMatch(/^"[\w-]+"$/);
    }
    expect(await uiAsset(NO_FILES, '/')).toMatchObject({
      isImmutable: false,
      contentType: 'text/html; charset=utf-8',
    });
  });

  test('holds nothing that a strict policy forbids, and loads nothing from elsewhere', async () => {
    const html = await textOf('/');
    expect(html).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=/i);
    const css = await textOf(/\/assets\/[\w-]+\.css/.exec(html)?.[0] ?? '');
    expect(css).not.toMatch(/url\((?!data:)|@import/);
    for (const [, url] of html.matchAll(/(?:src|href)="([^"]+)"/g))
      expect(url).toMatch(/^(?:\/assets\/|data:image\/)/);
  });

  test('other paths have no file', async () => {
    const paths = [
      '/index.html',
      '/assets/',
      '/assets/index.html',
      '/assets/../package.json',
      '/assets/none.js',
      '/x',
    ];
    for (const path of paths) expect([path, await uiAsset(NO_FILES, path)]).toEqual([path, null]);
  });
});
