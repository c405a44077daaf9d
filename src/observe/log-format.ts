// The shapes of a log line: our own JSON, the Elastic Common Schema's, OpenTelemetry's log data model, and one for people at a terminal.
// Called by log.ts and server/access-log.ts. Promises: pure; every line ends in LF and holds no other; names of the two standards as of ECS 8.11
// (https://www.elastic.co/docs/reference/ecs) and of OpenTelemetry's log data model 1.x; what they have no name for stays under `sluice.`.
import { type Fields, type FieldValue, isoTime } from './fields.ts';

/** How lines look. */
export type LogFormat = 'json' | 'ecs' | 'otel' | 'pretty' | 'plain';
/** Level of a line that is written. */
export type LineLevel = 'debug' | 'info' | 'warn' | 'error';
/** Makes one line; the time in ms since the epoch. */
export type Shape = (wallMs: number, level: LineLevel, msg: string, fields: Fields) => string;

/** Names that the Elastic Common Schema has for ours. */
const ECS_NAMES: Readonly<Record<string, string>> = {
  room: 'log.logger',
  status: 'http.response.status_code',
  requestBytes: 'http.request.body.bytes',
  replyBytes: 'http.response.body.bytes',
  error: 'error.code',
  fault: 'error.message',
  reason: 'error.message',
  trace: 'trace.id',
  id: 'http.request.id',
  url: 'url.full',
  pid: 'process.pid',
};

/** Names that OpenTelemetry's semantic conventions have for ours. */
const OTEL_NAMES: Readonly<Record<string, string>> = {
  room: 'otel.scope.name',
  status: 'http.response.status_code',
  requestBytes: 'http.request.body.size',
  replyBytes: 'http.response.body.size',
  error: 'error.type',
  method: 'mcp.method.name',
  name: 'gen_ai.tool.name',
  url: 'url.full',
  pid: 'process.pid',
};

/** Severity numbers of OpenTelemetry's log data model. */
const SEVERITY: Readonly<Record<LineLevel, number>> = { debug: 5, info: 9, warn: 13, error: 17 };
const NS_PER_MS = 1_000_000;

/** What makes the lines of a format. */
export function shapeOf(format: LogFormat): Shape {
  if (format === 'ecs') return ecs;
  if (format === 'otel') return otel;
  if (format === 'plain') return plain;
  return format === 'pretty' ? pretty : json;
}

function json(wallMs: number, level: LineLevel, msg: string, fields: Fields): string {
  return `${JSON.stringify({ time: isoTime(wallMs), level, msg, ...fields })}\n`;
}

function ecs(wallMs: number, level: LineLevel, message: string, fields: Fields): string {
  const line: Record<string, FieldValue> = {
    '@timestamp': isoTime(wallMs),
    'log.level': level,
    message,
    'ecs.version': '8.11.0',
    'service.name': 'sluice',
  };
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    if (name === 'outcome') line['event.outcome'] = value === 'ok' ? 'success' : 'failure';
    if (name === 'durationMs' && typeof value === 'number')
      line['event.duration'] = Math.round(value * NS_PER_MS);
    else line[ECS_NAMES[name] ?? `sluice.${name}`] = value;
  }
  return `${JSON.stringify(line)}\n`;
}

function otel(wallMs: number, level: LineLevel, body: string, fields: Fields): string {
  const attributes: Record<string, FieldValue> = {};
  let traceId: FieldValue;
  for (const [name, value] of Object.entries(fields)) {
    if (name === 'trace') traceId = value;
    else if (value !== undefined) attributes[OTEL_NAMES[name] ?? `sluice.${name}`] = value;
  }
  const line = {
    timestamp: isoTime(wallMs),
    severityText: level.toUpperCase(),
    severityNumber: SEVERITY[level],
    body,
    ...(traceId !== undefined && { traceId }),
    attributes,
    resource: { 'service.name': 'sluice' },
  };
  return `${JSON.stringify(line)}\n`;
}

/** What comes before and behind what is painted. */
interface Colours {
  readonly dim: string;
  readonly off: string;
  readonly of: Readonly<Record<LineLevel, string>>;
}

const DIM = '\x1b[2m';
const COLOURS: Colours = {
  dim: DIM,
  off: '\x1b[0m',
  of: { debug: DIM, info: '\x1b[36m', warn: '\x1b[33m', error: '\x1b[31m' },
};
const NO_COLOURS: Colours = { dim: '', off: '', of: { debug: '', info: '', warn: '', error: '' } };

/** Control characters would move the cursor, or colour what follows. */
function shown(value: FieldValue): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return /^[\w./:@%+-]+$/.test(text) ? text : JSON.stringify(text);
}

/** For people, at a terminal that shows colours or not. */
function peopleShape({ dim, off, of }: Colours): Shape {
  return (wallMs, level, msg, { room, ...fields }) => {
    const time = isoTime(wallMs).slice(11, 23);
    const where = room === undefined ? '' : `${dim}${String(room)}${off} `;
    const rest = Object.entries(fields)
      .filter(([, value]) => value !== undefined && value !== null && value !== '')
      .map(([name, value]) => ` ${dim}${name}=${off}${shown(value)}`)
      .join('');
    return `${dim}${time}${off} ${of[level]}${level.padEnd(5)}${off} ${where}${msg}${rest}\n`;
  };
}

const pretty = peopleShape(COLOURS);
const plain = peopleShape(NO_COLOURS);
