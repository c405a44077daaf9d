// The requestState of a modern request that has to come back: what stands in it, and what it is about.
// Called by face.ts, call.ts and park.ts. Promises: a state opens for the client and the endpoint that it was sealed for, in time, and unaltered; it goes
// with the very request that it was given for.
import { decode, type Edit, encode, splice } from '../../base/bytes.ts';
import { digest } from '../../base/digest.ts';
import { span, text } from '../../mcp/envelope.ts';
import { mirroredPlace } from '../../mcp/protocol.ts';
import { ENVELOPE } from '../../scan/contract.ts';
import type { Home } from '../../snapshot.ts';
import type { ClientKey, UpstreamRequest } from '../../upstream/upstream.ts';
import type { Handles } from '../handles.ts';
import { credentialsOf } from './client-headers.ts';

/** What seals and opens states: a worker's Handles. */
export type StateSealer = Pick<Handles, 'sealState' | 'openState' | 'placeOf'>;

/** A requestState, opened. */
export type State =
  /** A call waits for its client under this id, in some worker's present or past life. */
  | {
      readonly kind: 'parked';
      readonly id: string;
      readonly home: Home;
      readonly place: 'here' | 'away' | 'gone';
    }
  /** Nothing waits: the request is to be made again. */
  | { readonly kind: 'again'; readonly digest: string };

const PARKED = 'p:';
const AGAIN = 'a:';

/** State of a call that waits in this worker. */
export function sealParked(sealer: StateSealer, client: ClientKey, id: string, lifeMs: number): string {
  return sealer.sealState(client, PARKED + id, lifeMs);
}

/** State of a request that is to be made again. */
export function sealAgain(sealer: StateSealer, request: UpstreamRequest, lifeMs: number): string {
  return sealer.sealState(request.client, AGAIN + digestOf(requestedOf(request)), lifeMs);
}

/** Opens the requestState of a request; null when it is none of ours, not for this client and endpoint, expired or altered. */
export function openState(sealer: StateSealer, request: UpstreamRequest): State | null {
  const { body, envelope, client } = request;
  const shown = envelope === null ? null : text(body, envelope, ENVELOPE.requestState);
  const handle = shown === null ? null : sealer.openState(client, shown);
  if (handle === null) return null;
  const { inner } = handle;
  if (inner.startsWith(AGAIN)) return { kind: 'again', digest: inner.slice(AGAIN.length) };
  return { kind: 'parked', id: inner.slice(PARKED.length), home: handle, place: sealer.placeOf(handle) };
}

/** What a request asks for, as its client wrote it: the retry must ask for the same. */
export interface Requested {
  readonly method: string;
  /** Raw spelling of the name or URI as its server knows it, '' without one. */
  readonly target: string;
  /** Bytes of the arguments, a copy, or a digest of long ones; null without any. */
  readonly args: Uint8Array | null;
  /** By what its server knows the client, as text: what it says to the one is not for another. */
  readonly credentials: string;
}

/** Reads it off a request. */
export function requestedOf(request: UpstreamRequest): Requested {
  const { body, envelope } = request;
  const credentials = credentialsOf(request).join('\n');
  if (envelope === null) return { method: '', target: '', args: null, credentials };
  const method = text(body, envelope, ENVELOPE.method) ?? '';
  const start = envelope[ENVELOPE.arguments] ?? -1;
  const place = mirroredPlace(method);
  return {
    method,
    target: targetOf(request, place),
    args: start < 0 ? null : keptArgs(body.subarray(start, envelope[ENVELOPE.arguments + 1])),
    credentials,
  };
}

/** Longer arguments are kept as a digest: many calls may wait, and what runs at the server is what it was sent at first, whatever the retry says. */
const KEPT_BYTES_MAX = 16 * 1024;

function keptArgs(args: Uint8Array): Uint8Array {
  return args.length <= KEPT_BYTES_MAX ? args.slice() : encode(`${args.length}.${digest(decode(args))}`);
}

/** Raw spelling of the string at a place as the server gets it, '' without one: an aggregate's edits take its mark off. */
export function targetOf({ body, envelope, edits }: UpstreamRequest, place: number): string {
  const at = envelope === null || place < 0 ? null : span(envelope, place);
  if (at === null) return '';
  const inside = edits.filter((edit) => edit.start >= at.start && edit.end <= at.end);
  const shift = ({ start, end, insert }: Edit): Edit => ({
    start: start - at.start,
    end: end - at.start,
    insert,
  });
  return decode(splice(body.subarray(at.start, at.end), inside.map(shift)));
}

/** True when both ask for the same, byte for byte. */
export function isSameRequest(one: Requested, other: Requested): boolean {
  if (one.method !== other.method || one.target !== other.target) return false;
  if (one.credentials !== other.credentials) return false;
  if (one.args === null || other.args === null) return one.args === other.args;
  const { args } = other;
  return one.args.length === args.length && one.args.every((byte, i) => byte === args[i]);
}

/** A digest of all that, for a state that nothing waits for. */
export function digestOf({ method, target, args }: Requested): string {
  return digest(`${method}\n${target}\n${args === null ? '' : decode(args)}`).toString(36);
}
