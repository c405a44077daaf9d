// Every metric that /metrics shows: its name, kind, labels and meaning.
// Called by text.ts (shows them), scripts/docs.ts (docs/metrics.md). Promises: no metric is shown that is not here; names and units as Prometheus recommends them:
// seconds, bytes, `_total` for what only grows.

/** Kinds of metrics. */
export type MetricKind = 'counter' | 'gauge' | 'histogram';

/** One metric. */
export interface MetricRow {
  readonly kind: MetricKind;
  readonly labels: readonly string[];
  readonly help: string;
}

function row(kind: MetricKind, labels: readonly string[], help: string): MetricRow {
  return Object.freeze({ kind, labels, help });
}

/** By name. The order is that of the exposition and of docs/metrics.md. */
export const METRICS = Object.freeze({
  // endpoints: what clients see
  sluice_endpoint_exchanges_total: row(
    'counter',
    ['endpoint', 'outcome'],
    'Requests of clients that are over, by how they ended: ok, refused (their own fault), failed (a server’s or the gateway’s), abandoned (the client left).',
  ),
  sluice_endpoint_duration_seconds: row(
    'histogram',
    ['endpoint'],
    'Time from the admission of a request to the end of its reply; event streams are left out.',
  ),
  sluice_endpoint_phase_seconds: row(
    'histogram',
    ['endpoint', 'phase'],
    'The same time by where it went: gateway, queue (waiting for a connection), connect, upstream. A phase counts only the requests that were in it.',
  ),
  sluice_endpoint_request_bytes_total: row('counter', ['endpoint'], 'Bytes of request bodies.'),
  sluice_endpoint_reply_bytes_total: row('counter', ['endpoint'], 'Bytes of reply bodies.'),
  sluice_handovers_total: row(
    'counter',
    ['endpoint', 'direction'],
    'Requests that a worker handed to the one that has their session (out), and that it took from others (in).',
  ),
  sluice_errors_total: row(
    'counter',
    ['code', 'source'],
    'Requests that an error of the gateway’s table ended, by its code and whose fault it is; see docs/errors.md.',
  ),

  // servers and tools: what the gateway asks of them
  sluice_server_exchanges_total: row(
    'counter',
    ['server', 'method', 'outcome'],
    'Requests that went to a server, or were answered from what was kept of its answers, by method and by how they ended.',
  ),
  sluice_server_duration_seconds: row(
    'histogram',
    ['server'],
    'As sluice_endpoint_duration_seconds, of one server.',
  ),
  sluice_server_phase_seconds: row(
    'histogram',
    ['server', 'phase'],
    'As sluice_endpoint_phase_seconds, of one server.',
  ),
  sluice_server_request_bytes_total: row('counter', ['server'], 'Bytes of request bodies for a server.'),
  sluice_server_reply_bytes_total: row('counter', ['server'], 'Bytes of reply bodies of a server.'),
  sluice_server_repeats_total: row(
    'counter',
    ['server'],
    'Times that a request was sent again, or to a second place besides.',
  ),
  sluice_server_cached_total: row(
    'counter',
    ['server'],
    'Requests answered from what was kept of earlier answers.',
  ),
  sluice_server_rpc_errors_total: row(
    'counter',
    ['server'],
    'Requests that a server answered with a JSON-RPC error of its own.',
  ),
  sluice_tool_exchanges_total: row(
    'counter',
    ['server', 'tool', 'outcome'],
    'Calls of a tool by how they ended. Tools beyond `metrics.toolsMax`, and names that no server has answered for, are tool="other".',
  ),
  sluice_tool_duration_seconds: row(
    'histogram',
    ['server', 'tool'],
    'As sluice_server_duration_seconds, of one tool.',
  ),
  sluice_tool_phase_seconds: row(
    'histogram',
    ['server', 'tool', 'phase'],
    'As sluice_server_phase_seconds, of one tool.',
  ),

  // the way to servers
  sluice_pool_connections: row(
    'gauge',
    ['server', 'replica', 'state'],
    'Connections to a place of a server, or its processes, that carry a request (busy) or none (idle).',
  ),
  sluice_pool_waiting: row('gauge', ['server', 'replica'], 'Requests that wait for a connection.'),
  sluice_pool_connects_total: row(
    'counter',
    ['server', 'replica'],
    'Connections made, or processes started.',
  ),
  sluice_pool_reuses_total: row(
    'counter',
    ['server', 'replica'],
    'Requests sent on a connection that was there already.',
  ),
  sluice_pool_failures_total: row('counter', ['server', 'replica'], 'Failures of a place of a server.'),
  sluice_breaker_state: row(
    'gauge',
    ['server', 'replica', 'state'],
    '1 for the state that the circuit breaker is in (closed, open, half-open), 0 for the others.',
  ),
  sluice_breaker_forced: row('gauge', ['server', 'replica'], '1 while an operator keeps the breaker open.'),
  sluice_cache_requests_total: row(
    'counter',
    ['server', 'result'],
    'Requests that could have been answered from kept answers, by what came of it: hit, miss, shared (waited for another’s), stale (the server was down).',
  ),
  sluice_cache_evictions_total: row('counter', ['server'], 'Kept answers that made room for others.'),
  sluice_cache_entries: row('gauge', ['server'], 'Kept answers.'),
  sluice_cache_size_bytes: row('gauge', ['server'], 'Bytes of kept answers.'),
  sluice_server_sessions: row('gauge', ['server'], 'Legacy sessions that are held for clients at a server.'),
  sluice_server_children: row(
    'gauge',
    ['server', 'sharing'],
    'Processes of a server, shared or of one session.',
  ),
  sluice_server_children_resident_bytes: row('gauge', ['server'], 'Resident memory of a server’s processes.'),
  sluice_server_parked_calls: row('gauge', ['server'], 'Calls that wait for their clients’ answers.'),

  // the gateway itself
  sluice_exchanges_active: row('gauge', [], 'Requests under way, event streams included.'),
  sluice_sessions: row('gauge', [], 'Legacy sessions that live in this gateway.'),
  sluice_worker_up: row('gauge', ['worker'], '1 while a data worker serves.'),
  sluice_worker_restarts_total: row(
    'counter',
    ['worker'],
    'Times that a data worker died and was started anew.',
  ),
  sluice_worker_exchanges_active: row('gauge', ['worker'], 'Requests under way in a data worker.'),
  sluice_ring_fill_ratio: row(
    'gauge',
    ['worker'],
    'How full the fullest of the rings is by which other workers reach one; 1 is full.',
  ),
  sluice_workers_heap_bytes: row('gauge', [], 'JavaScript heaps of all data workers.'),
  sluice_memory_shared_bytes: row(
    'gauge',
    [],
    'Memory that the workers share, as laid out; what nobody uses takes none.',
  ),
  sluice_snapshot_epoch: row('gauge', [], 'Number of the configuration in force; it grows with each reload.'),
  sluice_ready: row('gauge', [], '1 when everything is there that is needed to serve.'),
  sluice_draining: row('gauge', [], '1 while the gateway ends.'),
  sluice_build_info: row(
    'gauge',
    ['version', 'runtime', 'scanner', 'kernel'],
    '1; what runs is in the labels.',
  ),
  process_cpu_seconds_total: row('counter', [], 'Processor time of all threads, user and system.'),
  process_resident_memory_bytes: row('gauge', [], 'Resident memory.'),
  process_start_time_seconds: row('gauge', [], 'When the gateway was started, in seconds since the epoch.'),
  process_open_fds: row('gauge', [], 'Open file descriptors.'),
  process_max_fds: row('gauge', [], 'File descriptors that may be open.'),
});

/** Name of a metric. */
export type MetricName = keyof typeof METRICS;
