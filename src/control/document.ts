// A configuration text, parsed but not yet judged: its value, and the line of every key.
// Called by load.ts; the formats are in yaml.ts, json.ts and toml.ts, loaded when needed (a YAML parser costs more time
// than all the rest of a start). Promises: duplicate keys and broken syntax are reported with their lines, all that the
// parser can tell at once; no text of the file gets into a message, it may be a secret.
import type { SourceDocument } from './source.ts';

/** The formats, by what the file name ends with. */
export type Format = 'yaml' | 'json' | 'toml';

/** The format that a file name stands for, or null. */
export function formatOf(file: string): Format | null {
  const ending = /\.([A-Za-z]+)$/.exec(file)?.[1]?.toLowerCase();
  if (ending === 'yaml' || ending === 'yml') return 'yaml';
  if (ending === 'json' || ending === 'jsonc') return 'json';
  return ending === 'toml' ? 'toml' : null;
}

/** Parses a text; a byte order mark is dropped. */
export async function parseDocument(text: string, format: Format): Promise<SourceDocument> {
  const source = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  if (format === 'yaml') return (await import('./yaml.ts')).parseYaml(source);
  if (format === 'json') return (await import('./json.ts')).parseJson(source);
  return (await import('./toml.ts')).parseToml(source);
}
