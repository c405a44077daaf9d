// Names and numbers of the protocol: revisions, methods, the param that Mcp-Name mirrors, `_meta` keys.
// Called by mcp, proxy and server. Promises: constants and pure look-ups; sources are the MCP specification's revisions
// 2024-11-05 … 2026-07-28.
import { ENVELOPE } from '../scan/contract.ts';

/** Revisions with the initialize handshake, newest first. */
export const LEGACY_VERSIONS: readonly string[] = Object.freeze([
  '2025-11-25',
  '2025-06-18',
  '2025-03-26',
  '2024-11-05',
  '2024-10-07',
]);

/** Revisions with per-request metadata, newest first. */
export const MODERN_VERSIONS: readonly string[] = Object.freeze(['2026-07-28']);

/** First revision whose requests carry their own metadata; versions are ISO dates and compare as text. */
const FIRST_MODERN_VERSION = '2026-07-28';

const DATE = /^\d{4}-\d{2}-\d{2}$/;

/** True for a version string of the modern era, known to us or later. */
export function isModernVersion(version: string): boolean {
  return DATE.test(version) && version >= FIRST_MODERN_VERSION;
}

/** Keys that the protocol defines under `_meta`. */
export const META = Object.freeze({
  protocolVersion: 'io.modelcontextprotocol/protocolVersion',
  clientCapabilities: 'io.modelcontextprotocol/clientCapabilities',
  clientInfo: 'io.modelcontextprotocol/clientInfo',
  serverInfo: 'io.modelcontextprotocol/serverInfo',
  subscriptionId: 'io.modelcontextprotocol/subscriptionId',
  logLevel: 'io.modelcontextprotocol/logLevel',
  /** The task that a message belongs to (2025-11-25). */
  relatedTask: 'io.modelcontextprotocol/related-task',
});

/** What every key of META begins with: the protocol keeps these keys for itself. */
export const META_PREFIX = 'io.modelcontextprotocol/';

/** The tasks extension of 2026-07-28; no legacy peer knows its wire form. */
export const TASKS_EXTENSION = 'io.modelcontextprotocol/tasks';

/** Methods that the gateway acts on; any other passes by. */
export const METHOD = Object.freeze({
  initialize: 'initialize',
  initialized: 'notifications/initialized',
  cancelled: 'notifications/cancelled',
  progress: 'notifications/progress',
  rootsChanged: 'notifications/roots/list_changed',
  resourceUpdated: 'notifications/resources/updated',
  acknowledged: 'notifications/subscriptions/acknowledged',
  ping: 'ping',
  discover: 'server/discover',
  listen: 'subscriptions/listen',
  setLevel: 'logging/setLevel',
  toolsList: 'tools/list',
  toolsCall: 'tools/call',
  promptsList: 'prompts/list',
  promptsGet: 'prompts/get',
  resourcesList: 'resources/list',
  templatesList: 'resources/templates/list',
  resourcesRead: 'resources/read',
  subscribe: 'resources/subscribe',
  unsubscribe: 'resources/unsubscribe',
  complete: 'completion/complete',
  elicit: 'elicitation/create',
  sample: 'sampling/createMessage',
  rootsList: 'roots/list',
  logMessage: 'notifications/message',
  toolsChanged: 'notifications/tools/list_changed',
  promptsChanged: 'notifications/prompts/list_changed',
  resourcesChanged: 'notifications/resources/list_changed',
  elicitationComplete: 'notifications/elicitation/complete',
  tasksList: 'tasks/list',
  tasksResult: 'tasks/result',
  /** Of 2025-11-25. */
  taskStatus: 'notifications/tasks/status',
  /** Of the extension of 2026-07-28. */
  taskChanged: 'notifications/tasks',
});

/** Lists that a notification says to have changed. */
export const LIST_OF: Readonly<Record<string, readonly string[]>> = Object.freeze({
  [METHOD.toolsChanged]: [METHOD.toolsList],
  [METHOD.promptsChanged]: [METHOD.promptsList],
  [METHOD.resourcesChanged]: [METHOD.resourcesList, METHOD.templatesList],
});

const CACHEABLE: ReadonlySet<string> = new Set([
  METHOD.discover,
  METHOD.toolsList,
  METHOD.promptsList,
  METHOD.resourcesList,
  METHOD.templatesList,
  METHOD.resourcesRead,
]);

/** True for methods whose complete results say for how long they hold (2026-07-28, caching). */
export function isCacheable(method: string): boolean {
  return CACHEABLE.has(method);
}

/** Place in the envelope of the param that `Mcp-Name` mirrors for a method (2026-07-28 §transports, SEP-2243), or -1. */
export function mirroredPlace(method: string): number {
  switch (method) {
    case METHOD.toolsCall:
    case METHOD.promptsGet:
      return ENVELOPE.name;
    case METHOD.resourcesRead:
      return ENVELOPE.uri;
    case 'tasks/get':
    case 'tasks/update':
    case 'tasks/cancel':
      return ENVELOPE.taskId;
    default:
      return -1;
  }
}

/** Levels of log messages, from the least urgent (RFC 5424 by other names). */
export const LOG_LEVELS: readonly string[] = Object.freeze([
  'debug',
  'info',
  'notice',
  'warning',
  'error',
  'critical',
  'alert',
  'emergency',
]);
