// A configuration file → the validated configuration with its files read, or every problem in it.
// Called by cli/ (serve, stdio, check) and later by the reload. Promises: reads only through the runtime's files and the
// environment it is handed; never throws for what an operator can write; all problems come at once, with file and line.
import type { Files } from '../runtime/runtime.ts';
import { check, type Flaw, valueAt } from './check.ts';
import { clientKey, importClient } from './clients.ts';
import { formatOf, parseDocument } from './document.ts';
import { anchorPaths, readFailure, readMaterial } from './material.ts';
import { directoryOf } from './place.ts';
import { type KeyPath, keyText, type Note, type Problem } from './problem.ts';
import { type Environment, resolveReferences } from './references.ts';
import type { Config } from './schema.ts';
import type { SourceDocument } from './source.ts';

/** Where a configuration comes from. */
export interface ConfigSource {
  /** Absolute path; relative paths inside are taken from its directory. */
  readonly path: string;
  /** Absolute path that the file is to have, for those paths; left out: the one that it has. */
  readonly place?: string;
  /** The path as messages call it. */
  readonly shown: string;
  readonly env: Environment;
}

/** A configuration that may be compiled. */
export interface LoadedConfig {
  readonly ok: true;
  readonly config: Config;
  /** Text of every PEM file that the configuration names, by absolute path. */
  readonly material: ReadonlyMap<string, string>;
  readonly notes: readonly Note[];
  /** Who decided about the value at this path. */
  sourceOf(path: KeyPath): ValueSource;
}

/** Where a value comes from; `line` is that of the file, 0 for a default. */
export interface ValueSource {
  readonly from: 'default' | 'file' | 'environment';
  readonly line: number;
}

/** Why there is none. */
export interface RefusedConfig {
  readonly ok: false;
  readonly problems: readonly Problem[];
}

/** Reads, parses, resolves, validates. */
export async function loadConfig(files: Files, source: ConfigSource): Promise<LoadedConfig | RefusedConfig> {
  let text: string;
  try {
    text = await files.readText(source.path);
  } catch (thrown) {
    return unreadable(source.shown, thrown);
  }
  const format = formatOf(source.path);
  if (format === null) {
    const detail = 'the name must end with .yaml, .yml, .json, .jsonc or .toml';
    return refuse([{ code: 'GW_CONFIG_READ', file: source.shown, line: 0, key: '', detail }]);
  }
  const document = await parseDocument(text, format);
  if (document.faults.length > 0) {
    return refuse(
      document.faults.map((fault) => ({
        code: 'GW_CONFIG_SYNTAX',
        file: source.shown,
        line: fault.line,
        key: keyText(fault.path),
        detail: fault.detail,
      })),
    );
  }
  return judge(document, format === 'json', files, source);
}

async function judge(
  document: SourceDocument,
  json: boolean,
  files: Files,
  source: ConfigSource,
): Promise<LoadedConfig | RefusedConfig> {
  const client = clientKey(document.value, json);
  const imported = client === null ? null : importClient(document.value, client);
  const origin = imported?.origin ?? ((path: KeyPath): KeyPath => path);
  const at = (path: KeyPath) => ({ file: source.shown, line: document.lineOf(path), key: keyText(path) });
  const problem = (flaw: Flaw): Problem => {
    const path = origin(flaw.path);
    return { code: flaw.code, ...at(path), detail: flaw.detail };
  };
  const problems: Problem[] = (imported?.flaws ?? []).map((flaw) => ({
    code: flaw.code,
    ...at(flaw.path),
    detail: flaw.detail,
  }));
  const raw = imported?.value ?? document.value;
  const resolved = resolveReferences(raw, source.env, client === null ? {} : clientVariables(source));
  for (const fault of resolved.faults)
    problems.push(problem({ code: 'GW_CONFIG_ENV', path: fault.path, detail: fault.detail }));
  const checked = check(resolved.value, raw, resolved.whole);
  if (!checked.ok) {
    // A value whose reference could not be resolved has been reported already.
    const unresolved = new Set(resolved.faults.map((fault) => JSON.stringify(fault.path)));
    for (const flaw of checked.flaws)
      if (!unresolved.has(JSON.stringify(flaw.path))) problems.push(problem(flaw));
  }
  if (!checked.ok || problems.length > 0) return refuse(problems);
  const config = anchorPaths(checked.config, directoryOf(source.place ?? source.path));
  const { material, flaws } = await readMaterial(config, files);
  if (flaws.length > 0) return refuse(flaws.map(problem));
  const notes = (imported?.notes ?? []).map((note) => ({ ...at(note.path), detail: note.detail }));
  const sourceOf = (path: KeyPath): ValueSource => {
    const written = valueAt(raw, path);
    if (written === undefined) return { from: 'default', line: 0 };
    const from = typeof written === 'string' && written.includes('${') ? 'environment' : 'file';
    return { from, line: document.lineOf(origin(path)) };
  };
  return { ok: true, config, material, notes, sourceOf };
}

/** Variables that clients define themselves and that mean the same here. */
function clientVariables(source: ConfigSource): Readonly<Record<string, string>> {
  const directory = directoryOf(source.place ?? source.path);
  const home = source.env.HOME;
  return {
    workspaceFolder: /\/\.(?:vscode|cursor)$/.test(directory) ? directoryOf(directory) : directory,
    '/': '/',
    pathSeparator: '/',
    ...(home === undefined ? {} : { userHome: home }),
  };
}

/** Problems in the order of the file. */
function refuse(problems: readonly Problem[]): RefusedConfig {
  return { ok: false, problems: [...problems].sort((a, b) => a.line - b.line) };
}

function unreadable(shown: string, thrown: unknown): RefusedConfig {
  return refuse([
    { code: 'GW_CONFIG_READ', file: shown, line: 0, key: '', detail: `found ${readFailure(thrown)}` },
  ]);
}
