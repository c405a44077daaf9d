// All gateways by others that the benches know, from whatever registry.
// Called by entrants.ts, sessions.ts and tests. Promises: the order is the one of the tables.
import { COMPILED_PEERS } from './compiled-peers.ts';
import { NPM_PEERS } from './npm-peers.ts';
import type { Peer } from './peer.ts';
import { PYTHON_PEERS } from './python-peers.ts';

/** The peers. */
export const PEERS: readonly Peer[] = [...NPM_PEERS, ...COMPILED_PEERS, ...PYTHON_PEERS];
