// What one seed plays: servers and their vices, clients and what they ask, and when what dies.
// Called by world.ts. Promises: a pure function of the seed; small enough that thousands of them run in minutes.
import type { Sharing } from '../../src/upstream/spec.ts';
import type { Era } from '../../src/upstream/upstream.ts';
import { Dice } from './dice.ts';

/** What can go wrong with a reply over HTTP; each comes with its share of all requests. */
export type HttpFault =
  | 'reset-before'
  | 'reset-after'
  | 'half-reply'
  | 'stall-reply'
  | 'hang'
  | 'slow'
  | 'garbage-head'
  | 'garbage-body'
  | 'wrong-id'
  | 'too-short-length'
  | 'too-long-length'
  | 'status-500'
  | 'status-503'
  | 'html'
  | 'empty'
  | 'twice'
  | 'close'
  | 'early-close'
  | 'no-answer'
  | 'odd-events'
  | 'forget-sessions';

/** The same over stdio. */
export type StdioFault =
  | 'exit-before'
  | 'exit-after'
  | 'garbage-line'
  | 'twice'
  | 'wrong-id'
  | 'hang'
  | 'slow'
  | 'noise'
  | 'deaf'
  | 'half-line';

/** What a server does to a process that is asked server/discover though it knows no such thing. */
export type ProbeReaction = 'error' | 'silence' | 'exit';

interface ServerBase {
  readonly name: string;
  readonly speaks: Era | 'dual';
  /** What the configuration says of its era. */
  readonly configured: 'auto' | Era;
  /** Share of requests that meet a fault. */
  readonly faultShare: number;
  /** Longest time that it thinks, ms. */
  readonly thinksMs: number;
  readonly hasBreaker: boolean;
  /** What the configuration does about calls that fail or are slow, and what it keeps. */
  readonly retriesMax: number;
  readonly isHedged: boolean;
  readonly hasCache: boolean;
  /** When it goes down, and for how long. */
  readonly downs: readonly { readonly atMs: number; readonly forMs: number; readonly silently: boolean }[];
}

/** A server behind HTTP. */
export interface HttpPlan extends ServerBase {
  readonly kind: 'http';
  readonly faults: Readonly<Partial<Record<HttpFault, number>>>;
  readonly connectionsMax: number;
  readonly replies: 'json' | 'events' | 'either';
  /** It closes connections that were idle for so long; 0 = never. */
  readonly keepAliveMs: number;
  /** Legacy only: it has sessions, and a stream for each. */
  readonly hasSessions: boolean;
  readonly hasStreams: boolean;
  readonly forwardsCredentials: boolean;
  readonly replicas: number;
  /** How one of them is chosen, and whether they are asked and compared. */
  readonly balance: 'least-busy' | 'round-robin' | 'hash';
  readonly isWatched: boolean;
}

/** A server that is a process. */
export interface StdioPlan extends ServerBase {
  readonly kind: 'stdio';
  readonly faults: Readonly<Partial<Record<StdioFault, number>>>;
  readonly sharing: Sharing;
  readonly warm: number;
  readonly reaction: ProbeReaction;
  /** It ends only when it is killed. */
  readonly isStubborn: boolean;
}

/** A server. */
export type ServerPlan = HttpPlan | StdioPlan;

/** What a client does. */
export type Deed =
  | 'echo'
  | 'peek'
  | 'work'
  | 'ask'
  | 'big'
  | 'read'
  | 'list'
  | 'discover'
  | 'ping'
  | 'listen'
  | 'cancel';

/** One deed: when, and where. */
export interface Step {
  readonly afterMs: number;
  readonly deed: Deed;
  /** Whose tool, on an aggregate endpoint. */
  readonly server: string;
  /** It leaves after this; null: it waits for the end. */
  readonly leavesAfterMs: number | null;
  /** It waits for this one before it goes on. */
  readonly isAwaited: boolean;
  /** A question is answered, after so long; null: never. */
  readonly answersAfterMs: number | null;
}

/** A client. */
export interface ClientPlan {
  readonly name: string;
  readonly era: Era;
  /** Path of its endpoint. */
  readonly path: string;
  readonly startMs: number;
  readonly ids: 'numbers' | 'texts';
  /** Share of requests on a connection that was used before. */
  readonly reuseShare: number;
  readonly canAnswer: boolean;
  /** Legacy: has its session's own stream open, and ends the session when done. */
  readonly opensStream: boolean;
  readonly endsSession: boolean;
  readonly steps: readonly Step[];
}

/** Everything that a seed decides in advance. */
export interface Plan {
  readonly seed: number;
  /** Nothing goes wrong; some servers go wrong; and workers as well. */
  readonly mood: 'calm' | 'rough' | 'deadly';
  readonly workers: number;
  readonly transport: 'uwebsockets' | 'sockets';
  readonly servers: readonly ServerPlan[];
  readonly clients: readonly ClientPlan[];
  readonly deaths: readonly { readonly atMs: number; readonly worker: number }[];
  readonly reloads: readonly number[];
  /** The end comes in the middle of things; null: when all are done. */
  readonly drainAtMs: number | null;
  readonly windowBytes: number;
  readonly splitShare: number;
  readonly joinShare: number;
  /** Ids are unique over all clients: what a server sends unasked on a connection in use can be told from an answer by nothing else. */
  readonly hasUniqueIds: boolean;
}

const HTTP_FAULTS: Readonly<Record<HttpFault, number>> = {
  'reset-before': 2,
  'reset-after': 2,
  'half-reply': 2,
  'stall-reply': 1,
  hang: 1,
  slow: 2,
  'garbage-head': 1,
  'garbage-body': 1,
  'wrong-id': 1,
  'too-short-length': 1,
  'too-long-length': 1,
  'status-500': 2,
  'status-503': 1,
  html: 1,
  empty: 1,
  twice: 1,
  close: 2,
  'early-close': 2,
  'no-answer': 1,
  'odd-events': 2,
  'forget-sessions': 2,
};

/** Faults of which the next request on the connection may be given the bytes: only an id tells them from an answer. */
const STRAY: readonly HttpFault[] = ['twice', 'too-short-length'];

const STDIO_FAULTS: Readonly<Record<StdioFault, number>> = {
  'exit-before': 2,
  'exit-after': 2,
  'garbage-line': 2,
  twice: 2,
  'wrong-id': 1,
  hang: 1,
  slow: 2,
  noise: 2,
  deaf: 1,
  'half-line': 1,
};

/** Longest part of a run in which things happen. */
const SPAN_MS = 12_000;

/** Makes the plan of a seed. */
export function planOf(seed: number): Plan {
  const dice = new Dice(seed);
  const mood = dice.weighted({ calm: 2, rough: 4, deadly: 4 }) ?? 'calm';
  const workers = mood === 'deadly' ? dice.whole(2, 3) : dice.whole(1, 3);
  const hasUniqueIds = dice.chance(0.5);
  const count = dice.whole(1, 4);
  const servers = Array.from({ length: count }, (_, index) =>
    serverPlan(dice, index, mood !== 'calm', hasUniqueIds),
  );
  const clients = Array.from({ length: dice.whole(2, 5) }, (_, index) => clientPlan(dice, index, servers));
  return {
    ...{ seed, mood, workers, hasUniqueIds, servers, clients },
    transport: dice.chance(0.5) ? 'sockets' : 'uwebsockets',
    deaths:
      mood === 'deadly'
        ? Array.from({ length: dice.whole(1, 3) }, () => ({
            atMs: dice.between(200, SPAN_MS),
            worker: dice.whole(0, workers - 1),
          }))
        : [],
    reloads: dice.chance(0.3)
      ? Array.from({ length: dice.whole(1, 3) }, () => dice.between(500, SPAN_MS))
      : [],
    drainAtMs: dice.chance(0.3) ? dice.between(500, SPAN_MS) : null,
    windowBytes: dice.pick([512, 4_096, 65_536, 65_536]),
    splitShare: dice.pick([0, 0.1, 0.5]),
    joinShare: dice.pick([0, 0.1, 0.5]),
  };
}

function serverPlan(dice: Dice, index: number, mayFail: boolean, hasUniqueIds: boolean): ServerPlan {
  const speaks = dice.pick(['modern', 'legacy', 'dual'] as const);
  const isFaulty = mayFail && dice.chance(0.6);
  const base = {
    name: `s${index}`,
    speaks,
    configured: speaks !== 'dual' && dice.chance(0.4) ? speaks : ('auto' as const),
    faultShare: isFaulty ? dice.pick([0.05, 0.2, 0.6]) : 0,
    thinksMs: dice.pick([0, 5, 50, 400]),
    hasBreaker: dice.chance(0.5),
    retriesMax: dice.pick([0, 0, 2]),
    isHedged: dice.chance(0.2),
    hasCache: dice.chance(0.4),
    downs:
      isFaulty && dice.chance(0.5)
        ? Array.from({ length: dice.whole(1, 2) }, () => ({
            atMs: dice.between(0, SPAN_MS),
            forMs: dice.between(50, 4_000),
            silently: dice.chance(0.3),
          }))
        : [],
  };
  return dice.chance(0.6) ? httpPlan(dice, base, hasUniqueIds) : stdioPlan(dice, base);
}

/** Some of the faults, so that each of them is met often enough by itself. */
function someOf<T extends string>(dice: Dice, all: Readonly<Record<T, number>>): Partial<Record<T, number>> {
  const some: Partial<Record<T, number>> = {};
  const share = dice.pick([0.15, 0.5, 1]);
  for (const [name, weight] of Object.entries(all) as [T, number][])
    if (dice.chance(share)) some[name] = weight;
  return some;
}

function httpPlan(dice: Dice, base: ServerBase, hasUniqueIds: boolean): HttpPlan {
  const faults = someOf(dice, HTTP_FAULTS);
  if (!hasUniqueIds) for (const name of STRAY) delete faults[name];
  return {
    ...base,
    kind: 'http',
    faults,
    connectionsMax: dice.pick([1, 2, 4, 64]),
    replies: dice.pick(['json', 'events', 'either']),
    keepAliveMs: dice.pick([0, 0, 2_000, 5_000]),
    hasSessions: dice.chance(0.8),
    hasStreams: dice.chance(0.6),
    forwardsCredentials: dice.chance(0.5),
    replicas: dice.pick([1, 1, 1, 2, 3]),
    balance: dice.pick(['least-busy', 'round-robin', 'hash']),
    isWatched: dice.chance(0.5),
  };
}

function stdioPlan(dice: Dice, base: ServerBase): StdioPlan {
  return {
    ...base,
    kind: 'stdio',
    faults: someOf(dice, STDIO_FAULTS),
    sharing: dice.pick(['auto', 'shared', 'session']),
    warm: dice.chance(0.2) ? 1 : 0,
    reaction: dice.pick(['error', 'error', 'silence', 'exit']),
    isStubborn: dice.chance(0.15),
  };
}

const DEEDS: Readonly<Record<Deed, number>> = {
  echo: 8,
  peek: 2,
  work: 4,
  ask: 3,
  big: 2,
  read: 3,
  list: 3,
  discover: 1,
  ping: 1,
  listen: 2,
  cancel: 1,
};

function clientPlan(dice: Dice, index: number, servers: readonly ServerPlan[]): ClientPlan {
  const [first, ...rest] = servers;
  if (first === undefined) throw new Error('a plan has servers');
  const own = dice.pick([first, ...rest]);
  const isAggregate = dice.chance(0.4);
  const steps = Array.from({ length: dice.whole(3, 9) }, (): Step => {
    const answersAfterMs = dice.chance(0.8) ? dice.between(0, 2_000) : null;
    // A gateway waits for an answer for as long as people need: who gives none leaves.
    const isLeaving = dice.chance(0.12) || answersAfterMs === null;
    return {
      afterMs: dice.pick([0, dice.between(0, 20), dice.between(0, 500), dice.between(0, 3_000)]),
      deed: dice.weighted(DEEDS) ?? 'echo',
      server: (isAggregate ? dice.pick([first, ...rest]) : own).name,
      leavesAfterMs: isLeaving ? dice.pick([dice.between(0, 500), 2_500]) : null,
      isAwaited: dice.chance(0.4),
      answersAfterMs,
    };
  });
  return {
    name: `c${index}`,
    era: dice.pick(['modern', 'legacy']),
    path: isAggregate ? '/mcp' : `/mcp/${own.name}`,
    startMs: dice.between(0, 1_500),
    ids: dice.pick(['numbers', 'texts']),
    reuseShare: dice.pick([0, 0.5, 0.9]),
    canAnswer: dice.chance(0.8),
    opensStream: dice.chance(0.5),
    endsSession: dice.chance(0.7),
    steps,
  };
}
