// The dashboard's files: the page, its scripts and its styles.
// Called by dashboard.ts. Promises: from the bundle where the program runs from one (its folder ui/), else made from src/ui/ at the first request; each file is read once;
// a name that is none of them gives null, whatever is in it.
import type { Files } from '../../runtime/runtime.ts';

/** A file as it is sent. */
export interface Asset {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly contentType: string;
  /** In quotes. */
  readonly etag: string;
  /** Its name holds a digest: it never changes under it. */
  readonly isImmutable: boolean;
}

/** Where the files that the page names are served. */
const BASE = '/assets/';
const PAGE = 'index.html';

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
};

const isBundled = import.meta.url.endsWith('.js');
/** Beside the bundle's files: see scripts/bundle.ts. */
const FOLDER = pathOf('./ui/');

const known = new Map<string, Asset>();
let made: Promise<ReadonlyMap<string, string>> | null = null;

function pathOf(relative: string): string {
  return decodeURIComponent(new URL(relative, import.meta.url).pathname);
}

/** Which file a path asks for; null when it asks for none. */
function nameIn(path: string): string | null {
  if (path === '/') return PAGE;
  const name = path.startsWith(BASE) ? path.slice(BASE.length) : '';
  return /^[\w-]+\.(?:js|css)$/.test(name) ? name : null;
}

/** Files made from the sources, by name. A fault is not kept: the next request tries anew. */
function fromSources(): Promise<ReadonlyMap<string, string>> {
  made ??= import('../../runtime/bun-page.ts')
    .then(({ bundlePage }) => bundlePage(pathOf('../../ui/index.html'), BASE))
    .then((files) => new Map(files.map(({ name, text }) => [name, text])))
    .catch((thrown: unknown) => {
      made = null;
      // the bundler's own error says what and where
      throw thrown;
    });
  return made;
}

async function textOf(files: Files, name: string): Promise<string | null> {
  if (!isBundled) return (await fromSources()).get(name) ?? null;
  return (await files.exists(FOLDER + name)) ? files.readText(FOLDER + name) : null;
}

/** A digest for comparing (FNV-1a over UTF-16 units), not for secrets. */
function digest(text: string): string {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return (hash >>> 0).toString(16);
}

/** The file at a path of the admin listener; null when there is none. Rejects when the page cannot be made from its sources. */
export async function uiAsset(files: Files, path: string): Promise<Asset | null> {
  const name = nameIn(path);
  if (name === null) return null;
  const before = known.get(name);
  if (before !== undefined) return before;
  const text = await textOf(files, name);
  if (text === null) return null;
  const asset: Asset = {
    bytes: new TextEncoder().encode(text),
    contentType: TYPES[name.slice(name.lastIndexOf('.') + 1)] ?? 'application/octet-stream',
    etag: `"${digest(text)}-${text.length}"`,
    isImmutable: name !== PAGE,
  };
  known.set(name, asset);
  return asset;
}
