// Frames between workers: their kinds, and the words in front of the bytes (MessagePack).
// Called by peer-link.ts, peer-flow.ts and whoever makes requests to a peer. Promises: what one worker packs, another of the same program reads as it
// was; nothing is remembered from one frame to the next, so that a worker that starts anew reads everything.
import { Packr } from 'msgpackr/pack';
import { ERRORS, type ErrorCode, GatewayError } from '../base/errors.ts';
import type { HeaderRecord } from '../runtime/runtime.ts';
import type { ReplyHead } from './upstream.ts';

/** Kinds of frames. The exchange of a frame is the number that its caller gave it. */
export const FRAME = Object.freeze({
  /** Caller to home: the request, its body inside when that fits, else in chunks and an end. */
  request: 1,
  /** Home to caller: the reply begins; its body follows in chunks and an end. */
  head: 2,
  /** Bytes of a body, against credit. */
  chunk: 3,
  /** The body is complete; with words, the exchange has failed. */
  end: 4,
  /** Caller to home: nobody waits any more. */
  abort: 5,
  /** So many more bytes may be sent. */
  credit: 6,
  /** Home to caller: a reply that is complete in this frame. */
  whole: 7,
  /** A piece of words that are too long for one frame; the next ones of the exchange continue it. */
  words: 8,
  /** To whoever waits for a connection to a server, whose index stands in the place of an exchange: look again. */
  nudge: 9,
});

/** A list of texts, some of them absent. */
export type Texts = readonly (string | null)[];

/** What a request to a peer is about: a server that lives there, a client's whole exchange, or a call that waits there for its client. */
export type PeerSubject = 'upstream' | 'exchange' | 'bridge';

/** One request to another worker; its body goes beside it. */
export interface PeerRequest {
  readonly subject: PeerSubject;
  /** The life of the peer that it is for; 0 = whichever. */
  readonly generation: number;
  /** The rest, as the two ends of the subject agree. */
  readonly texts: Texts;
}

/** Head of a peer's reply: plain data, so that it can be kept. */
export interface PeerHead extends Omit<ReplyHead, 'header'> {
  /** Lower-case names. */
  readonly headers: HeaderRecord;
}

/** The same as the caller gets to see it. */
export interface PeerReplyHead extends PeerHead, ReplyHead {}

/** A request's words as they cross: from which life of the caller, to which of the home, and how many bytes of body. */
export interface RequestWords extends PeerRequest {
  readonly fromGeneration: number;
  readonly bodyBytes: number;
}

/** After a pack the next one begins at the same place of msgpackr's buffer: one buffer serves all frames. */
const RESET_BUFFER_MODE = 1024;

// Records would save the names of keys, and need both ends to remember them: a restarted worker would not. Lists have no names.
const packr = new Packr({ useRecords: false });

const SUBJECTS: readonly PeerSubject[] = ['upstream', 'exchange', 'bridge'];
const MEDIA: readonly ReplyHead['media'][] = ['json', 'event-stream', 'none', 'other'];

/**
 * Numbers, then the texts: all in one, and the length of each (-1: absent). One long text is read at once, many short ones are read character by character:
 * that would cost three times as much.
 */
function pack(numbers: readonly number[], texts: Texts): Uint8Array {
  const words: (number | string)[] = [...numbers, ''];
  let joined = '';
  for (const text of texts) {
    words.push(text === null ? -1 : text.length);
    joined += text ?? '';
  }
  words[numbers.length] = joined;
  return packr.pack(words, RESET_BUFFER_MODE);
}

/** The texts behind `count` numbers. */
function textsOf(words: readonly (number | string)[], count: number): (string | null)[] {
  const joined = String(words[count]);
  const texts: (string | null)[] = [];
  let at = 0;
  for (let i = count + 1; i < words.length; i++) {
    const length = Number(words[i]);
    texts.push(length < 0 ? null : joined.slice(at, at + length));
    at += Math.max(0, length);
  }
  return texts;
}

/** The words of a request; valid until the next pack. */
export function packRequest(request: RequestWords): Uint8Array {
  const { subject, generation, texts, fromGeneration, bodyBytes } = request;
  return pack([SUBJECTS.indexOf(subject), fromGeneration, generation, bodyBytes], texts);
}

/** Reads what packRequest() packed. */
export function readRequest(bytes: Uint8Array): RequestWords {
  // Only packRequest() of this program writes these bytes.
  const words = packr.unpack(bytes) as [number, number, number, number, string, ...number[]];
  const [subject, fromGeneration, generation, bodyBytes] = words;
  const texts = textsOf(words, 4);
  return { subject: SUBJECTS[subject] ?? 'upstream', fromGeneration, generation, bodyBytes, texts };
}

/** The words of a reply's head; valid until the next pack. */
export function packHead({ status, media, contentLength, sessionId, headers }: PeerHead): Uint8Array {
  const texts: (string | null)[] = [sessionId];
  for (const name in headers) texts.push(name, headers[name] ?? '');
  return pack([status, MEDIA.indexOf(media), contentLength], texts);
}

/** Reads what packHead() packed. */
export function readHead(bytes: Uint8Array, whole: boolean): PeerReplyHead {
  // Only packHead() of this program writes these bytes.
  const words = packr.unpack(bytes) as [number, number, number, string, ...number[]];
  const [status, media, contentLength] = words;
  const [sessionId = null, ...lines] = textsOf(words, 3);
  const headers: Record<string, string> = {};
  for (let i = 0; i + 1 < lines.length; i += 2) headers[lines[i] ?? ''] = lines[i + 1] ?? '';
  return {
    status,
    media: MEDIA[media] ?? 'other',
    contentLength,
    whole,
    sessionId,
    headers,
    header: (name) => headers[name] ?? null,
  };
}

/** The words of a failure; valid until the next pack. Its cause stays where it happened. */
export function packFailure(error: GatewayError): Uint8Array {
  return packr.pack([error.code, error.detail], RESET_BUFFER_MODE);
}

/** Reads what packFailure() packed. */
export function readFailure(bytes: Uint8Array): GatewayError {
  // Only packFailure() of this program writes these bytes.
  const [code, detail] = packr.unpack(bytes) as [ErrorCode, string];
  return code in ERRORS ? new GatewayError(code, detail) : new GatewayError('GW_BASE_INTERNAL', detail);
}

const creditWords = new Uint8Array(4);
const creditView = new DataView(creditWords.buffer);

/** The words of a credit frame: four bytes, below 2^32; valid until the next one. */
export function packCredit(bytes: number): Uint8Array {
  creditView.setUint32(0, bytes);
  return creditWords;
}

/** Reads what packCredit() packed. */
export function readCredit(words: Uint8Array): number {
  return new DataView(words.buffer, words.byteOffset, words.length).getUint32(0);
}
