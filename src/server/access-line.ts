// The line of one exchange as a JSON object, put together from few pieces.
// Called by access-log.ts. Promises: the text is what JSON.stringify would make of the same fields in the same order, in a fifth of the time (each exchange pays for it);
// fields that are undefined are left out; what is remembered of earlier lines is bounded.
import { decimal } from '../base/decimal.ts';
import { LIMITS } from '../base/limits.ts';

/** What a line says besides its time, level and message. Texts are whole, numbers finite. */
export interface AccessFields {
  worker: number | undefined;
  room: string;
  /** Made by this gateway: nothing in it needs escaping. */
  id: string;
  verb: string | undefined;
  endpoint: string;
  server: string | undefined;
  method: string | undefined;
  name: string | undefined;
  arguments: string | undefined;
  era: string;
  status: number;
  outcome: string;
  error: string | undefined;
  /** Times in ms, three places behind the point. */
  durationMs: number;
  gatewayMs: number;
  queueMs: number | undefined;
  connectMs: number | undefined;
  upstreamMs: number | undefined;
  requestBytes: number;
  replyBytes: number;
  sends: number | undefined;
  isCached: boolean | undefined;
  replica: number | undefined;
  trace: string | undefined;
}

/** Texts that stand between quotes as they are. */
const PLAIN = /^[ !#-[\]-~]*$/;

/** Makes the lines of one worker's exchanges. */
export class AccessLines {
  readonly #openings = new Map<string, string>();
  /** By endpoint, server and method, which most exchanges share with one before. */
  readonly #places = new Map<string, Map<string | undefined, Map<string | undefined, string>>>();
  #placeCount = 0;
  #endingOf: Pick<AccessFields, 'era' | 'status' | 'outcome'> = { era: '', status: 0, outcome: '' };
  #ending = '';

  /** One line of a log, LF included; `time` is its text. */
  line(time: string, level: string, fields: AccessFields): string {
    const { verb, name, error, queueMs, connectMs, upstreamMs } = fields;
    const where = verb === undefined ? this.#place(fields) : place(fields);
    let named = name === undefined ? '' : `,"name":${quoted(name)}`;
    if (fields.arguments !== undefined) named += `,"arguments":${quoted(fields.arguments)}`;
    let waits = queueMs === undefined ? '' : `,"queueMs":${decimal(queueMs)}`;
    if (connectMs !== undefined) waits += `,"connectMs":${decimal(connectMs)}`;
    if (upstreamMs !== undefined) waits += `,"upstreamMs":${decimal(upstreamMs)}`;
    const fault = error === undefined ? '' : `,"error":"${error}"`;
    return `{"time":"${time}${this.#opening(level, fields)}${fields.id}${where}${named}${this.#end(fields)}${fault},"durationMs":${decimal(fields.durationMs)},"gatewayMs":${decimal(fields.gatewayMs)}${waits},"requestBytes":${fields.requestBytes},"replyBytes":${fields.replyBytes}${rare(fields)}}\n`;
  }

  #opening(level: string, { worker, room }: AccessFields): string {
    let text = this.#openings.get(level);
    if (text === undefined) {
      const number = worker === undefined ? '' : `,"worker":${worker}`;
      text = `","level":"${level}","msg":"exchange"${number},"room":"${room}","id":"`;
      this.#openings.set(level, text);
    }
    return text;
  }

  #place(fields: AccessFields): string {
    const { endpoint, server, method } = fields;
    const known = this.#places.get(endpoint)?.get(server)?.get(method);
    if (known !== undefined) return known;
    // Methods are the clients' to choose.
    if (this.#placeCount >= LIMITS.accessLogPlacesMax) {
      this.#places.clear();
      this.#placeCount = 0;
    }
    const made = place(fields);
    const ofEndpoint =
      this.#places.get(endpoint) ?? new Map<string | undefined, Map<string | undefined, string>>();
    const ofServer = ofEndpoint.get(server) ?? new Map<string | undefined, string>();
    this.#places.set(endpoint, ofEndpoint.set(server, ofServer.set(method, made)));
    this.#placeCount++;
    return made;
  }

  #end({ era, status, outcome }: AccessFields): string {
    const last = this.#endingOf;
    if (last.era !== era || last.status !== status || last.outcome !== outcome) {
      this.#endingOf = { era, status, outcome };
      this.#ending = `,"era":"${era}","status":${status},"outcome":"${outcome}"`;
    }
    return this.#ending;
  }
}

/** From the end of the id on. */
function place({ verb, endpoint, server, method }: AccessFields): string {
  const at = server === undefined ? '' : `,"server":${quoted(server)}`;
  const what = method === undefined ? '' : `,"method":${quoted(method)}`;
  return `"${verb === undefined ? '' : `,"verb":"${verb}"`},"endpoint":${quoted(endpoint)}${at}${what}`;
}

function rare({ sends, isCached, replica, trace }: AccessFields): string {
  let text = sends === undefined ? '' : `,"sends":${sends}`;
  if (isCached !== undefined) text += `,"isCached":${isCached}`;
  if (replica !== undefined) text += `,"replica":${replica}`;
  if (trace !== undefined) text += `,"trace":${quoted(trace)}`;
  return text;
}

function quoted(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : JSON.stringify(text);
}
