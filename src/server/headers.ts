// Reads a client's headers in one pass into the record that the rest of the gateway works with.
// Called by http.ts. Promises: counts every line and byte; keeps only what the protocol or a server's configuration names.
import { type ClientHeaders, emptyHeaders } from '../exchange/client-headers.ts';
import type { Inbound } from '../runtime/runtime.ts';

/** Reads all headers; `optional` names (lower case) are those that some server wants passed on. */
export function readHeaders(inbound: Inbound, optional: ReadonlySet<string>): ClientHeaders {
  const to = emptyHeaders();
  inbound.eachHeader((name, value) => take(to, optional, name, value));
  return to;
}

function take(to: ClientHeaders, optional: ReadonlySet<string>, name: string, value: string): void {
  to.count++;
  to.bytes += name.length + value.length + 4;
  switch (name) {
    case 'host':
      to.host = value;
      break;
    case 'origin':
      to.origin = value;
      break;
    case 'content-type':
      to.contentType = value;
      break;
    case 'content-encoding':
      to.contentEncoding = value;
      break;
    case 'content-length':
      to.contentLength = Number(value);
      break;
    case 'accept':
      to.accept = value;
      break;
    case 'mcp-protocol-version':
      to.protocolVersion = value.trim();
      break;
    case 'mcp-method':
      to.mcpMethod = value.trim();
      break;
    case 'mcp-name':
      to.mcpName = value.trim();
      break;
    case 'mcp-session-id':
      to.session = value;
      break;
    case 'last-event-id':
      to.lastEventId = value;
      break;
    case 'traceparent':
    case 'tracestate':
    case 'baggage':
      to.passed.push(name, value);
      break;
    default:
      if (name.startsWith('mcp-param-')) to.passed.push(name, value);
      else if (optional.size > 0 && optional.has(name)) to.optional.push(name, value);
  }
}
