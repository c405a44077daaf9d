// The options of traces.
// Called by schema.ts. Promises: as schema.ts.
import * as z from 'zod/mini';
import { shaped, text, told } from './option.ts';

/** What is traced, and where spans go. */
export const tracingOptions = told(
  z.prefault(
    z.strictObject({
      url: z.optional(
        told(
          shaped(/^https?:\/\/[^\s/]+(\/\S*)?$/, 'an http:// or https:// URL'),
          'Where spans are sent: the URL of an OpenTelemetry collector for traces over HTTP, such as `http://127.0.0.1:4318/v1/traces`. Left out: nothing is traced.',
        ),
      ),
      headers: told(
        z._default(
          z.record(
            shaped(/^[\w!#$%&'*+.^`|~-]+$/, 'a header name'),
            shaped(/^[^\0\r\n]*$/, 'a header value'),
          ),
          {},
        ),
        'Headers to send with them, such as `{ authorization: "Bearer ${OTLP_TOKEN}" }`.',
      ),
      share: told(
        z._default(z.number().check(z.minimum(0), z.maximum(1)), 0.01),
        'Share of the traces that begin here which are recorded. A request that comes with a W3C trace context is recorded when its caller says so.',
        'share',
      ),
      service: z._default(text('`service.name` of the spans.'), 'sluice'),
    }),
    {},
  ),
  'Traces by OpenTelemetry: one span for each exchange, one for each request to a server, as JSON over OTLP/HTTP.',
);
