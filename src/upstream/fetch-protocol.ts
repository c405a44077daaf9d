// Which HTTP version fetch() speaks to one server: HTTP/2 first, HTTP/3 where nothing listens on TCP, HTTP/1.1 where that is all there is.
// Called by fetch.ts. Promises: the request moves to another version only after an attempt that cannot have sent any of it; what worked
// is kept for the calls that follow.
import type { HttpTarget } from './spec.ts';

/** Bun's name for a version, forced through fetch's `protocol` option. */
export type Protocol = 'http2' | 'http3' | 'http1.1';

/** Bun's codes for "the server does not speak this version": the handshake ended before a request could be sent. */
const UNSUPPORTED: ReadonlySet<string> = new Set(['HTTP2Unsupported', 'HTTP3Unsupported']);
const REFUSED: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ConnectionRefused']);

/** The system's or Bun's code of a thrown value, or ''. */
export function codeOf(thrown: unknown): string {
  if (typeof thrown !== 'object' || thrown === null || !('code' in thrown)) return '';
  return typeof thrown.code === 'string' ? thrown.code : '';
}

/** Remembers the version of one server. */
export class ProtocolChoice {
  private readonly secure: boolean;
  private readonly quicPossible: boolean;
  private proven: Protocol | null = null;

  constructor(target: HttpTarget) {
    const { ca, cert, key, serverName } = target.tls;
    this.secure = target.secure;
    // Bun's HTTP/3 client takes no CA, client certificate or server name of its own.
    this.quicPossible =
      target.secure &&
      target.unixPath === null &&
      [ca, cert, key, serverName].every((value) => value === null);
  }

  /** The version to try now. */
  first(): Protocol {
    return this.proven ?? (this.secure ? 'http2' : 'http1.1');
  }

  /** The version to try after one failed with `code`, or null when the failure stands. */
  after(failed: Protocol, code: string): Protocol | null {
    if (this.proven !== null) return null;
    if (UNSUPPORTED.has(code) && failed === 'http2') return 'http1.1';
    if (REFUSED.has(code) && failed === 'http2' && this.quicPossible) return 'http3';
    return null;
  }

  /** A reply came over this version. */
  worked(protocol: Protocol): void {
    this.proven = protocol;
  }
}
