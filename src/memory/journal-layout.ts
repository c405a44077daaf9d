// Where everything lies in a record of the journal, which holds one exchange that is over.
// Called by layout.ts (lays journals out) and journal.ts. Promises: as layout.ts.

/** How exchanges end, by the numbers that records and counts hold; exchange.ts says what they mean. */
export const OUTCOMES = Object.freeze(['ok', 'refused', 'failed', 'abandoned'] as const);

/** Shape of a journal. */
export const JOURNAL = Object.freeze({
  /** One line: word 0 counts the records ever written, wraps. */
  headBytes: 64,
  /** Bytes of one record: two lines of numbers, the rest text. */
  recordBytes: 512,
  /** Bytes of the lines of numbers: 512 − 128 = 384 are left for texts. */
  numbersBytes: 128,
  /** Bytes kept of the method, of the name, of the id and of the trace's id: 64 + 96 + 48 + 32 = 240; 384 − 240 = 144 at least are left for the request. */
  methodBytesMax: 64,
  nameBytesMax: 96,
  idBytesMax: 48,
  traceBytesMax: 32,
});

/** Words of a record's lines of numbers; the doubles stand at the places of JOURNAL_DOUBLE. */
export const JOURNAL_WORD = Object.freeze({
  /** Odd while the record is being written; each write adds two. */
  sequence: 0,
  status: 1,
  outcome: 2,
  endpoint: 3,
  /** Lengths in bytes of the texts, which follow each other in this order. */
  methodBytes: 8,
  nameBytes: 9,
  idBytes: 10,
  traceBytes: 11,
  bodyBytes: 12,
  /** Cell of the server, -1 for none; which of its places; how often it was sent; 1 when it was answered from what was kept. */
  server: 13,
  replica: 14,
  sends: 15,
  cached: 16,
  /** Number of the error that ended it (base/error-numbers.ts), 0 for none. */
  error: 17,
});

/** Float64 places of a record: bytes 16 to 31, between the words above, and 72 to 119 behind them. */
export const JOURNAL_DOUBLE = Object.freeze({
  wallMs: 2,
  durationUs: 3,
  gatewayUs: 9,
  queueUs: 10,
  connectUs: 11,
  upstreamUs: 12,
  requestBytes: 13,
  replyBytes: 14,
});
