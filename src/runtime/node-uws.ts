// The package uWebSockets.js: what of it is used, and how it is loaded.
// Called by node-listener.ts, node-worker.ts and the node-uws-*.ts files. Promises: loaded once a thread, at the first listener; a failure to load is returned with
// its reason, never thrown.
import { createRequire } from 'node:module';

/** A reply under way. Dead once it has ended or was aborted: the library throws at whoever touches it then. */
export interface UwsResponse {
  onAborted(callback: () => void): void;
  /** The chunk is only lent, until the callback returns. */
  onData(callback: (chunk: ArrayBuffer, isLast: boolean) => void): void;
  /** Called when the client took what waited; true when what was to be done then is done. */
  onWritable(callback: (offset: number) => boolean): void;
  /** Calls back at once; what is written meanwhile leaves together. */
  cork(callback: () => void): void;
  writeStatus(status: string): void;
  writeHeader(name: string | Uint8Array, value: string | Uint8Array): void;
  /** False when the client is slower than the bytes, which are kept. */
  write(bytes: Uint8Array): boolean;
  end(bytes: Uint8Array | string, closeConnection: boolean): void;
  endWithoutBody(length: number | undefined, closeConnection: boolean): void;
  /** [all was taken, and the reply is over]. */
  tryEnd(bytes: Uint8Array, totalBytes: number): [boolean, boolean];
  getWriteOffset(): number;
  getRemoteAddressAsText(): ArrayBuffer;
  close(): void;
}

/** A request's head. Dead once its handler has returned. */
export interface UwsRequest {
  getCaseSensitiveMethod(): string;
  getUrl(): string;
  getQuery(): string | undefined;
  forEach(visit: (name: string, value: string) => void): void;
}

/** A place that listens. */
export type UwsToken = object;

/** A server. */
export interface UwsApp {
  any(pattern: string, handler: (response: UwsResponse, request: UwsRequest) => void): UwsApp;
  listen(host: string, port: number, options: number, done: (token: UwsToken | false) => void): UwsApp;
  /** Closes every socket, the listening ones too. */
  close(): UwsApp;
}

/** PEM files, by name. */
export interface UwsTlsFiles {
  readonly cert_file_name: string;
  readonly key_file_name: string;
}

/** The package. */
export interface Uws {
  App(): UwsApp;
  SSLApp(files: UwsTlsFiles): UwsApp;
  us_listen_socket_close(token: UwsToken): void;
  us_socket_local_port(token: UwsToken): number;
  readonly LIBUS_LISTEN_EXCLUSIVE_PORT: number;
}

/** Either the package, or why there is none. */
export type UwsLoad =
  | { readonly uws: Uws; readonly failure: null }
  | { readonly uws: null; readonly failure: string };

const PACKAGE = 'uWebSockets.js';
/** Where the library looks for the largest head that it takes; 4 KiB unless told. */
const HEAD_BYTES_NAME = 'UWS_HTTP_MAX_HEADERS_SIZE';
const HEAD_BYTES = '16384';

let loaded: UwsLoad | null = null;

/** Sets what the library reads from the environment as it is loaded. Only the main thread's settings reach it, so: before a thread is started. */
export function prepareUws(): void {
  process.env[HEAD_BYTES_NAME] ??= HEAD_BYTES;
}

/** Loads the package. */
export function loadUws(): UwsLoad {
  loaded ??= load();
  return loaded;
}

function load(): UwsLoad {
  prepareUws();
  try {
    const found: unknown = createRequire(import.meta.url)(PACKAGE);
    if (isUws(found)) return { uws: found, failure: null };
    return { uws: null, failure: `${PACKAGE} is another package` };
  } catch (thrown) {
    return { uws: null, failure: reasonOf(thrown) };
  }
}

function isUws(found: unknown): found is Uws {
  return typeof found === 'object' && found !== null && 'App' in found && 'us_listen_socket_close' in found;
}

/** In one line. The package's own words say which versions of Node it knows; behind an empty line follows what really happened. */
function reasonOf(thrown: unknown): string {
  if (thrown instanceof Error && 'code' in thrown && thrown.code === 'MODULE_NOT_FOUND')
    return `the package ${PACKAGE} is not installed`;
  const said = thrown instanceof Error ? thrown.message : String(thrown);
  const happened = said.slice(said.lastIndexOf('\n\n')).trim().split('\n')[0] ?? '';
  if (!happened.includes('Cannot find module')) return happened;
  const { platform, arch, versions } = process;
  return `the package ${PACKAGE} has no binary for Node ${versions.node} on ${platform} ${arch}`;
}
