// Writes docs/config.md, docs/errors.md, docs/metrics.md and docs/sluice.schema.json from the code, or with --check says which are stale.
// Called by `npm run docs`, `npm run ok` and test/unit/control/docs.test.ts. Promises: what the code decides (options, bounds,
// defaults, error rows) is never written by hand; exit code 1 when --check finds a difference.
import { readFile, writeFile } from 'node:fs/promises';
import { ERRORS, type ErrorRow } from '../src/base/errors.ts';
import { annotatedSchema, editorSchema, type SchemaNode } from '../src/control/editor.ts';
import { METRICS } from '../src/control/metrics/table.ts';
import { BOUNDS_US } from '../src/memory/series-read.ts';

/** A file to generate: path from the project's root, and its text. */
export interface GeneratedFile {
  readonly path: string;
  readonly text: string;
}

/** All generated files. */
export async function generate(): Promise<readonly GeneratedFile[]> {
  const intro = await readFile(new URL('./config-intro.md', import.meta.url), 'utf8');
  return [
    { path: 'docs/config.md', text: configPage(intro) },
    { path: 'docs/errors.md', text: errorsPage() },
    { path: 'docs/metrics.md', text: metricsPage() },
    { path: 'docs/sluice.schema.json', text: `${JSON.stringify(editorSchema(), null, 2)}\n` },
  ];
}

const MADE = '<!-- Made by scripts/docs.ts from the code: run `npm run docs` instead of editing. -->';

// ── metrics ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function metricsPage(): string {
  const rows = Object.entries(METRICS).map(
    ([name, { kind, labels, help }]) =>
      `| \`${name}\` | ${kind} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help} |`,
  );
  const bounds = BOUNDS_US.map((us) => us / 1e6);
  return [
    `# Metrics\n\n${MADE}\n`,
    'The admin listener serves these at `/metrics`, to whoever has its token: as Prometheus text, or as OpenMetrics when the scraper asks for it. In OpenMetrics the buckets of `sluice_endpoint_duration_seconds` and `sluice_server_duration_seconds` carry an exemplar: the id of a trace (`trace_id`) when the exchange was sampled, else its correlation id (`exchange_id`, the `x-request-id` of its reply).',
    '',
    '[`deploy/`](../deploy) has a configuration for Prometheus, alert rules, and a dashboard for Grafana.',
    '',
    `Histograms have the bounds ${bounds[0]} s, then twice as much each, up to ${bounds.at(-1)} s. What was never counted is left out. Of labels there are as many as the configuration has servers, replicas and endpoints; names of tools are bounded by \`metrics.toolsMax\`. Requests that are refused before they become an exchange (an unknown path, a wrong host) are in none of them.`,
    '',
    'Two things to know when reading phases: a phase counts only the exchanges that were in it, so `rate(…_sum)` of one phase over `rate(…_count)` of the whole is its share; and what a streamed reply takes until its end is its server’s (`upstream`), of a reply that came whole only what it took until it was there.',
    '',
    '| metric | kind | labels | meaning |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

// ── configuration ───────────────────────────────────────────────────────────────────────────────────────────────────

function configPage(intro: string): string {
  const root = annotatedSchema();
  const top = section('Top level', '', root, false);
  const sections = ['listen', 'admin', 'limits', 'log', 'metrics', 'tracing', 'registry'].map((key) =>
    sectionsUnder(key, root.properties?.[key] ?? {}),
  );
  const servers = root.properties?.servers?.additionalProperties;
  const kinds = typeof servers === 'object' ? (servers.anyOf ?? []) : [];
  const serverSections = kinds.map(serverSection);
  const nested = [
    ...new Map(
      kinds.flatMap((kind) =>
        Object.entries(kind.properties ?? {}).flatMap(([key, node]) => tableOf(key, node)),
      ),
    ).entries(),
  ];
  const nestedSections = nested.map(([key, node]) =>
    section(`servers.NAME.${key}`, `servers.NAME.${key}`, node, true),
  );
  return [
    `# Configuration\n\n${MADE}\n`,
    intro.trim(),
    '',
    '## Options',
    '',
    top,
    ...sections,
    ...serverSections,
    ...nestedSections,
    ...endpointSections(root),
  ].join('\n');
}

/** The tables of endpoints; prompts are described as tools are. */
function endpointSections(root: SchemaNode): string[] {
  const endpoint = root.properties?.endpoints?.additionalProperties;
  if (typeof endpoint !== 'object') return [];
  const { tools, prompts, resources, policy } = endpoint.properties ?? {};
  const override = tools?.properties?.override?.additionalProperties;
  const at = 'endpoints.NAME';
  return [
    section(at, at, endpoint, true),
    section(`${at}.tools`, `${at}.tools`, tools ?? {}, true),
    ...(typeof override === 'object'
      ? [section(`${at}.tools.override.NAME`, `${at}.tools.override.NAME`, override, true)]
      : []),
    section(`${at}.prompts`, `${at}.prompts`, prompts ?? {}, true),
    section(`${at}.resources`, `${at}.resources`, resources ?? {}, true),
    section(`${at}.policy`, `${at}.policy`, policy ?? {}, true),
    ...Object.entries(policy?.properties ?? {})
      .flatMap(([key, node]) => tableOf(key, node))
      .map(([key, node]) => section(`${at}.policy.${key}`, `${at}.policy.${key}`, node, true)),
  ];
}

/** What of an option has a table of its own: a mapping with keys of ours, a list of them, or a mapping of names to them. */
function tableOf(key: string, node: SchemaNode): readonly [string, SchemaNode][] {
  if (node.properties !== undefined) return [[key, node]];
  if (node.items?.properties !== undefined) return [[`${key}[]`, node.items]];
  const named = node.additionalProperties;
  return typeof named === 'object' && named.properties !== undefined ? [[`${key}.NAME`, named]] : [];
}

function serverSection(kind: SchemaNode): string {
  const { replicas, balance, outliers, health, command } = kind.properties ?? {};
  if (command !== undefined) return section('servers.NAME, a process', 'servers.NAME', kind, true);
  if (replicas === undefined) return section('servers.NAME, over HTTP', 'servers.NAME', kind, true);
  const description = `${kind.description} The options are those of a server over HTTP, but that each place has its own \`url\` and \`unixPath\`.`;
  return section(
    'servers.NAME, in several places',
    'servers.NAME',
    { ...kind, description, properties: defined({ replicas, balance, outliers, health }) },
    true,
  );
}

function defined(properties: Readonly<Record<string, SchemaNode | undefined>>): Record<string, SchemaNode> {
  return Object.fromEntries(Object.entries(properties).flatMap(([key, node]) => (node ? [[key, node]] : [])));
}

function sectionsUnder(path: string, node: SchemaNode): string {
  const below = Object.entries(node.properties ?? {}).filter(([, child]) => child.properties !== undefined);
  return [
    section(path, path, node, true),
    ...below.map(([key, child]) => sectionsUnder(`${path}.${key}`, child)),
  ].join('\n');
}

/** One table: every key of a mapping. */
function section(title: string, path: string, node: SchemaNode, described: boolean): string {
  const heading =
    path === '' ? title : `\`${title.split(',')[0]}\`${title.includes(',') ? `,${title.split(',')[1]}` : ''}`;
  const rows = Object.entries(node.properties ?? {}).map(([key, child]) => {
    const required = node.required?.includes(key) === true;
    return `| \`${key}\` | ${typeText(child)} | ${required ? '**required**' : defaultText(child)} | ${cell(child.description ?? '')} |`;
  });
  const lead = described && node.description !== undefined ? `${node.description}\n\n` : '';
  return `### ${heading}\n\n${lead}| key | value | default | meaning |\n|---|---|---|---|\n${rows.join('\n')}\n`;
}

function typeText(node: SchemaNode): string {
  // Of servers the kinds have tables of their own; what is left are values of several types.
  if (node.anyOf !== undefined) return node.anyOf.map(typeText).join(', ');
  if (node.const !== undefined) return `\`${node.const}\``;
  if (node.enum !== undefined) return node.enum.map((value) => `\`${value}\``).join(', ');
  switch (node.type) {
    case 'integer':
      return `${node.minimum} … ${node.maximum}${node.unit === undefined || node.unit === 'port' ? '' : ` ${node.unit}`}`;
    case 'boolean':
      return '`true`, `false`';
    case 'array':
      return listText(node.items);
    case 'object':
      if (node.properties !== undefined) return 'see below';
      return typeof node.additionalProperties === 'object' &&
        (node.additionalProperties.anyOf ?? node.additionalProperties.properties) !== undefined
        ? 'mapping, see below'
        : 'mapping of text';
    default:
      return node.unit === 'path' ? 'path' : 'text';
  }
}

function listText(items: SchemaNode | undefined): string {
  const keys = Object.keys(items?.properties ?? {});
  return keys.length === 0
    ? 'list of text'
    : `list of mappings: ${keys.map((key) => `\`${key}\``).join(', ')}`;
}

function defaultText(node: SchemaNode): string {
  if (node.default === undefined || node.properties !== undefined) return '';
  if (Array.isArray(node.default) && node.default.length === 0) return 'none';
  return node.type === 'object' ? 'none' : `\`${String(node.default)}\``;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}

// ── errors ──────────────────────────────────────────────────────────────────────────────────────────────────────────

const ROOMS: Readonly<Record<string, string>> = {
  BASE: 'The gateway itself',
  CONFIG: 'Configuration: refused before anything is served, with exit code 2',
  RUNTIME: 'The machine refused',
  SERVER: 'Admission of a request',
  SCAN: 'The bytes are no message',
  MCP: 'The message breaks the protocol',
  SESSION: 'Sessions of clients before MCP 2026-07-28',
  ROUTE: 'No such target',
  POLICY: 'What the configuration allows',
  UPSTREAM: 'The MCP server, or the way to it, failed',
};

function errorsPage(): string {
  const rooms = new Map<string, [string, ErrorRow][]>();
  for (const [code, row] of Object.entries(ERRORS)) {
    const room = code.split('_')[1] ?? '';
    rooms.set(room, [...(rooms.get(room) ?? []), [code, row]]);
  }
  const parts = [...rooms].map(([room, rows]) => {
    const lines = rows.map(
      ([code, row]) =>
        `| \`${code}\` | ${row.http} | ${row.jsonrpc} | ${row.source} | ${row.retry} | ${cell(row.message)} |`,
    );
    return `## ${ROOMS[room] ?? room}\n\n| code | HTTP | JSON-RPC | whose fault | retry | message |\n|---|---|---|---|---|---|\n${lines.join('\n')}\n`;
  });
  return `# Errors

${MADE}

Everything that goes wrong on purpose has one row here. A reply carries the HTTP status, and in its body the JSON-RPC code, the message
with what was found, and in \`error.data\` the code of the row (\`gw\`) and \`retry\`. The request's id is in it whenever it could be read.

- *whose fault*: \`client\` (the request or the configuration is wrong), \`gateway\` (Sluice is full, stopping or broken), \`upstream\` (the MCP server or the way to it).
- *retry*: \`never\` (it was refused, or may have been executed), \`fresh-connection\` (nothing of it was executed, a new connection may succeed at once), \`safe\` (nothing was executed, trying later is fine).

${parts.join('\n')}`;
}

// ── the files ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** Paths of the generated files that differ from what is in the tree. */
export async function stale(): Promise<readonly string[]> {
  const paths: string[] = [];
  for (const { path, text } of await generate()) {
    const there = await readFile(new URL(`../${path}`, import.meta.url), 'utf8').catch(() => '');
    if (there !== text) paths.push(path);
  }
  return paths;
}

if (import.meta.main) {
  if (process.argv.includes('--check')) {
    const paths = await stale();
    for (const path of paths) console.error(`${path} is not what the code says: run \`npm run docs\``);
    process.exitCode = paths.length === 0 ? 0 : 1;
  } else {
    for (const { path, text } of await generate())
      await writeFile(new URL(`../${path}`, import.meta.url), text);
  }
}
