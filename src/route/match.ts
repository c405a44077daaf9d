// The reading end of a route table for one endpoint: scans that look up in the same call, and look-ups of decoded texts.
// Called by worker.ts (makes it), proxy/pipeline.ts (scans), proxy/routing.ts and proxy/listen.ts (look up). Promises: both ways give the same answers.
import { decode, encode } from '../base/bytes.ts';
import type { RouteScan, Scanner } from '../scan/contract.ts';
import { ownerOf, RouteLookup } from '../scan/lookup.ts';

/** A text taken apart: which upstream it is for, and the upstream's own name for it. */
export interface Match {
  readonly index: number;
  readonly own: string;
}

/** The routes of one table, as one thread reads them. */
export class Routes {
  readonly #scan: RouteScan;
  readonly #lookup: RouteLookup;

  /** A memory that holds no route table is a fault of ours (GW_BASE_INTERNAL). */
  constructor(scanner: Scanner, table: SharedArrayBuffer) {
    this.#scan = scanner.withRoutes(table);
    this.#lookup = new RouteLookup(table);
  }

  /** The routes of an endpoint by its index. */
  endpoint(index: number): EndpointRoutes {
    return new EndpointRoutes(this.#scan, this.#lookup, index);
  }
}

/** The routes of one endpoint. */
export class EndpointRoutes {
  readonly #scan: RouteScan;
  readonly #lookup: RouteLookup;
  readonly #endpoint: number;

  constructor(scan: RouteScan, lookup: RouteLookup, endpoint: number) {
    this.#scan = scan;
    this.#lookup = lookup;
    this.#endpoint = endpoint;
  }

  /** RouteScan.scan() for this endpoint. */
  scan(bytes: Uint8Array, envelope: Int32Array): number {
    return this.#scan.scan(bytes, envelope, this.#endpoint);
  }

  /** Takes a decoded text of a ROUTE_KIND apart; null when no entry fits it. */
  find(kind: number, full: string): Match | null {
    const bytes = encode(full);
    if (!this.#lookup.find(ownerOf(this.#endpoint, kind), bytes, 0, bytes.length)) return null;
    // What was matched is text throughout, so its characters can be counted; the rest is kept as it is, lone surrogates included.
    const { upstream, strip } = this.#lookup;
    return { index: upstream, own: full.slice(decode(bytes, 0, strip).length) };
  }
}
