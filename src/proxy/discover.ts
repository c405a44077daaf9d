// The joined answer to `server/discover`.
// Called by aggregate-modern.ts. Promises: speaks for every member that answered, now or lately, and names the others; refuses when there is none.
import { encode } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import type { Exchange } from '../exchange.ts';
import { isRecord, type Message, objectAt } from '../mcp/envelope.ts';
import { resultMessage } from '../mcp/errors.ts';
import {
  joinInstructions,
  type MemberPages,
  mergeCapabilities,
  mergedCaching,
  type SelfInfo,
} from '../mcp/merge.ts';
import { outcomesOf } from '../mcp/merge-lists.ts';
import { META, MODERN_VERSIONS } from '../mcp/protocol.ts';
import { ENVELOPE } from '../scan/contract.ts';

/** Answers with what these members said, each on one page. */
export function answerDiscover(exchange: Exchange, members: readonly MemberPages[], self: SelfInfo): void {
  // A server that knows no such method says of itself as little as one that is down.
  const answers = members.map((one) =>
    one.fault === null && one.pages.length === 0 ? { ...one, fault: 'it refused server/discover' } : one,
  );
  const good = answers.flatMap(({ server, pages: [message] }) =>
    message === undefined ? [] : [resultOf(server, message)],
  );
  const outcomes = outcomesOf(answers);
  const id = exchange.requestId;
  if (id === null || good.length === 0)
    return exchange.refuse(nobody(answers), { servers: Object.values(outcomes)[0] });
  const instructions = joinInstructions(good);
  const result = {
    supportedVersions: MODERN_VERSIONS,
    capabilities: mergeCapabilities(good.map(({ capabilities }) => capabilities)),
    ...(instructions === null ? {} : { instructions }),
    ...mergedCaching(answers),
    resultType: 'complete',
    _meta: { ...outcomes, [META.serverInfo]: self },
  };
  exchange.replyJson(200, resultMessage(id, encode(JSON.stringify(result))));
}

function resultOf(server: string, { bytes, envelope }: Message) {
  const result = objectAt(bytes, envelope, ENVELOPE.result);
  return { server, result, capabilities: isRecord(result.capabilities) ? result.capabilities : {} };
}

/** A refusal when no member could answer: their failure, or that they all refused. */
function nobody(answers: readonly MemberPages[]): GatewayError {
  const failure = answers.find(
    ({ error }) => error !== undefined && error.code !== 'GW_UPSTREAM_MEDIA',
  )?.error;
  return (
    failure ?? new GatewayError('GW_MCP_METHOD', 'every server of this endpoint refused server/discover')
  );
}
