// The gateway's live events out of their stream (text/event-stream, as WHATWG HTML describes it).
// Called by admin-client.ts. Promises: an event is delivered once it is whole, however its bytes were cut; lines that are no data are passed over.

/** One event. */
export interface LiveEvent {
  readonly event: string;
  /** Parsed JSON. */
  readonly data: unknown;
}

/** The events of a stream, until it ends or breaks, which is the same to a reader. */
export async function* readEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<LiveEvent> {
  const decoder = new TextDecoder();
  let text = '';
  try {
    for await (const bytes of body) {
      text += decoder.decode(bytes, { stream: true });
      const blocks = text.split('\n\n');
      text = blocks.pop() ?? '';
      for (const block of blocks) {
        const event = parseEvent(block);
        if (event !== null) yield event;
      }
    }
  } catch {
    // The gateway is gone, or the reader has given up.
  }
}

function parseEvent(block: string): LiveEvent | null {
  let event = 'message';
  const data: string[] = [];
  for (const line of block.split('\n')) {
    if (line.startsWith('event:')) event = line.slice(6).trim();
    else if (line.startsWith('data:')) data.push(line.slice(5).replace(/^ /, ''));
  }
  if (data.length === 0) return null;
  try {
    return { event, data: JSON.parse(data.join('\n')) };
  } catch {
    return null;
  }
}
