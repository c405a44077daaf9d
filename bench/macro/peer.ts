// What a gateway by others is to the benches, whatever registry it comes from: found or installed, started, asked.
// Called by entrants.ts; written out by npm-peers.ts, compiled-peers.ts and python-peers.ts. Promises: a peer that cannot be had is a
// reason in words, never an exception that ends the bench.
import type { Target } from './target.ts';

/** What stands behind a gateway. */
export type UpstreamKind = 'http' | 'stdio';

/** The upstream that a peer is put in front of: the URL of the raw echo, or the command line of the stdio echo. */
export interface Upstream {
  readonly url: string;
  readonly command: readonly string[];
}

/** How much a peer is asked for. */
export type Share = 'all' | 'basic';

/** A gateway by others. */
export interface Peer {
  /** As it stands in rows; one of a kind. */
  readonly name: string;
  readonly version: string;
  readonly before: readonly UpstreamKind[];
  /** Name of the upstream's tool `echo` as its clients see it. */
  readonly tool: string;
  /** `basic` for those that answer a few calls a second: the short list of scenarios. */
  readonly share: Share;
  /** True when each session starts a process of the server: it is not asked for many. */
  readonly processPerSession: boolean;
  /** True when it can be started as it is. */
  isHere(): boolean;
  /** Gets it. Throws when it cannot be had, the reason first. */
  install(): Promise<void>;
  /** Starts it on a free port; ready when it listens. */
  start(kind: UpstreamKind, upstream: Upstream): Promise<Target>;
}

/** Makes a peer ready to be started: null, or why it is left out. */
export async function obtain(peer: Peer, mayInstall: boolean): Promise<string | null> {
  if (peer.isHere()) return null;
  if (!mayInstall) return 'not installed: SLUICE_BENCH=full installs it into the cache folder';
  try {
    await peer.install();
    return peer.isHere() ? null : 'its installer left nothing that can be started';
  } catch (error) {
    return firstLine(error);
  }
}

/** What an error says, in one line. */
export function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replaceAll('\n', ' ').slice(0, 300);
}
