// The admin API keeps what its OpenAPI document says: for every operation, whatever is sent.
// Called by `bun test`. Promises: requests are generated from the document that the running gateway serves; each answer's status, media type and body are declared
// there, and none is a fault of the gateway's own; fast-check prints the seed of a failure.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import * as fc from 'fast-check';
import { type AdminGateway, startAdmin, TOKEN } from '../fixtures/admin.ts';
import { type Served, startFixture, stopAll } from '../fixtures/harness.ts';
import {
  type Asked,
  Judge,
  type OpenApi,
  type Operation,
  operationsOf,
  requestsOf,
} from '../fixtures/openapi.ts';

const RUNS = 15;
/** Of operations that take a body: there is more to be wrong. */
const RUNS_WITH_BODY = 40;
/** An answer that takes longer is none. */
const ANSWER_MS_MAX = 15_000;
/** Names that mean something to the gateway below. */
const WORDS = ['far', 'docs', 'nobody', '0', '0-0', 'test_simple_text', 'tools/list'];

let admin: AdminGateway;
let fixture: Served;
let document: OpenApi;

// Machines that are busy with other things take seconds to start a gateway.
setDefaultTimeout(60_000);

beforeAll(async () => {
  fixture = await startFixture('modern');
  admin = await startAdmin({ far: { url: fixture.url } });
  document = await admin.get<OpenApi>('/api/v1/openapi.json');
});
afterAll(stopAll);

function runsOf({ path, body }: Operation): number {
  // Wrong tokens are answered ever more slowly.
  if (path === '/api/v1/login') return 5;
  return body === null ? RUNS : RUNS_WITH_BODY;
}

/** Sends a request; the answer of a stream is its head. */
async function answerTo(
  { method }: Operation,
  { url, headers, body }: Asked,
  authorization: string,
): Promise<{ status: number; type: string; text: string }> {
  const reply = await fetch(admin.adminUrl + url, {
    method,
    headers: { ...headers, ...(authorization !== '' && { authorization }) },
    body,
    signal: AbortSignal.timeout(ANSWER_MS_MAX),
  });
  const [type = ''] = (reply.headers.get('content-type') ?? '').split(';');
  if (type !== 'text/event-stream') return { status: reply.status, type, text: await reply.text() };
  await reply.body?.cancel();
  return { status: reply.status, type, text: '' };
}

describe('the OpenAPI document', () => {
  test('is of version 3.1 and names all that there is', () => {
    expect(document.openapi).toBe('3.1.0');
    const operations = operationsOf(document);
    expect(operations.length).toBeGreaterThan(35);
    for (const { method, path, responses } of operations) {
      expect([method, path, '500' in responses]).toEqual([method, path, false]);
      expect([method, path, '401' in responses, '403' in responses]).toEqual([method, path, true, true]);
    }
  });

  test('refers to nothing that it does not have', () => {
    const text = JSON.stringify(document);
    for (const [, name = ''] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g))
      expect(Object.keys(document.components.schemas)).toContain(name);
  });

  test('is kept for every operation, whatever is sent', async () => {
    const judge = new Judge(document);
    const seen = new Map<string, Set<number>>();
    for (const operation of operationsOf(document)) {
      const title = `${operation.method} ${operation.path}`;
      const statuses = new Set<number>();
      seen.set(title, statuses);
      // It would end the gateway that is being asked: e2e/admin-api.test.ts does that.
      const tokens = operation.path === '/api/v1/drain' ? ['', 'Bearer x'] : [`Bearer ${TOKEN}`];
      const asked = fc.tuple(requestsOf(document, operation, WORDS), fc.constantFrom(...tokens));
      await fc.assert(
        fc.asyncProperty(asked, async ([request, authorization]) => {
          const answer = await answerTo(operation, request, authorization);
          statuses.add(answer.status);
          const fault =
            answer.status >= 500 && answer.status !== 503 && !title.includes('/mcp') ? answer.text : '';
          expect(`${title}: ${fault}${judge.fault(operation, answer)}`).toBe(`${title}: `);
        }),
        { numRuns: runsOf(operation) },
      );
      const nobody = await answerTo(operation, { url: operation.path, headers: {}, body: null }, '');
      expect(judge.fault(operation, nobody)).toBe('');
    }
    // Without these the requests would have been all wrong, or all right.
    const all = new Set([...seen.values()].flatMap((statuses) => [...statuses]));
    for (const status of [200, 201, 400, 404, 409, 422]) expect([...all]).toContain(status);
  }, 120_000);
});
