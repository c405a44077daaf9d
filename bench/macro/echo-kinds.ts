// The report's table of protocols: the same echo call served by gRPC in C++, HTTP/2 in Go, Express and FastAPI, beside the gateway with the raw
// echo behind it, in one run under one load.
// Called by bench/run.ts as `servers`. Promises: rounds are interleaved; what a server answers is checked first; memory of a connection is
// taken from idle connections that have each made one call; who cannot be had is named with the reason.
import { type BenchResult, type BenchRow, checksumOf, rowOf, skippedBench } from '../report.ts';
import { CALL_BODY } from './call.ts';
import { type H2Call, type H2Measured, runH2load } from './h2load.ts';
import { http2Request } from './http2-bytes.ts';
import { aptInstall, checkEcho, ECHO_KINDS, jsonCall } from './other-servers.ts';
import { firstLine } from './peer.ts';
import { startEcho, startGateway } from './peers.ts';
import { type Target, treeUse, which } from './target.ts';

/** How long, and whether what is missing may be installed. */
export interface EchoKindsOptions {
  readonly rounds: number;
  readonly secondsPerRound: number;
  readonly mayInstall: boolean;
}

interface Server {
  readonly target: Target;
  readonly call: H2Call;
  readonly theirs: string | null;
  readonly idleMb: number;
  readonly rounds: Map<number, Round[]>;
}

interface Round extends H2Measured {
  readonly cpuUs: number;
}

const TITLE = 'the same echo as other kinds of server';
const WIDTHS = [16, 128];
const WARM_UP_SECONDS = 1;
const CONNECTIONS = 1_000;
const SETTLE_MS = 500;
const KB = 1024;
const H2LOAD = 'nghttp2-client';

/** Measures them all, or says why it cannot. */
export async function benchEchoKinds(options: EchoKindsOptions): Promise<BenchResult> {
  if (which('h2load') === null && options.mayInstall)
    await aptInstall('h2load', [H2LOAD]).catch(() => undefined);
  const h2load = which('h2load');
  if (h2load === null)
    return skippedBench(TITLE, `h2load is not installed (Debian: apt-get install ${H2LOAD})`);
  const notes: string[] = [];
  const servers: Server[] = [];
  try {
    await enterAll(servers, options, notes);
    for (const width of WIDTHS) {
      for (const { call } of servers) await runH2load(h2load, call, width, WARM_UP_SECONDS);
      for (let round = 0; round < options.rounds; round++)
        for (const server of servers)
          server.rounds.set(width, [
            ...(server.rounds.get(width) ?? []),
            await measure(server, h2load, width, options.secondsPerRound),
          ]);
    }
    const rows: BenchRow[] = [];
    for (const width of WIDTHS) for (const server of servers) rows.push(loadRow(server, width));
    for (const server of servers) rows.push(await memoryRow(server));
    return result(rows, servers, options, notes);
  } finally {
    for (const { target } of servers.reverse()) await target.stop();
  }
}

function result(
  rows: readonly BenchRow[],
  servers: readonly Server[],
  options: EchoKindsOptions,
  notes: readonly string[],
): BenchResult {
  return {
    title: TITLE,
    method: `h2load, one thread, one call at a time on each connection; ${options.rounds} interleaved rounds of ${options.secondsPerRound} s; medians; CPU of the server's processes; the row of sluice is gateway and raw echo, CPU of the gateway; direct is the raw echo; memory: ${CONNECTIONS} idle connections that have made one call each`,
    rows,
    checksum: checksumOf(CALL_BODY),
    published: servers.flatMap(({ target, theirs }) =>
      theirs === null
        ? []
        : [{ what: `${target.name} beside it`, theirs, ours: servedText(rows, target.name) }],
    ),
    ...(notes.length > 0 && { notes }),
  };
}

function servedText(rows: readonly BenchRow[], name: string): string {
  const perSecond = rows.find((row) => row.name === `c=16: ${name}`)?.figures['calls/s'];
  const own = rows.find((row) => row.name === 'c=16: sluice')?.figures['calls/s'];
  return `${Math.round(Number(perSecond))} calls/s here (sluice in the same run: ${Math.round(Number(own))})`;
}

async function enterAll(servers: Server[], { mayInstall }: EchoKindsOptions, notes: string[]): Promise<void> {
  const enter = async (target: Target, call: H2Call, theirs: string | null): Promise<void> => {
    try {
      await checkEcho(call);
    } catch (error) {
      await target.stop();
      throw error;
    }
    await Bun.sleep(SETTLE_MS);
    const idleMb = treeUse(target.pid, () => false).residentMb;
    servers.push({ target, call, theirs, idleMb, rounds: new Map() });
  };
  const echo = await startEcho();
  await enter(echo, jsonCall(echo.url, '1.1'), null);
  const gateway = await startGateway(echo.url);
  await enter(gateway, jsonCall(gateway.url, '1.1'), null);
  for (const kind of ECHO_KINDS) {
    try {
      if (!kind.isHere() && !mayInstall) throw new Error('not installed: SLUICE_BENCH=full installs it');
      if (!kind.isHere()) await kind.install();
      const target = await kind.start();
      await enter(target, kind.callTo(target.url), kind.theirs);
    } catch (error) {
      notes.push(`left out ${kind.name}: ${firstLine(error)}`);
    }
  }
}

async function measure(server: Server, h2load: string, width: number, seconds: number): Promise<Round> {
  const use = (): number => treeUse(server.target.pid, () => false).cpuMs;
  const beforeMs = use();
  const measured = await runH2load(h2load, server.call, width, seconds);
  return { ...measured, cpuUs: ((use() - beforeMs) * 1000) / measured.calls };
}

function loadRow({ target, rounds }: Server, width: number): BenchRow {
  const own = rounds.get(width) ?? [];
  return rowOf(`c=${width}: ${target.name}`, {
    'calls/s': own.map((round) => round.calls / round.seconds),
    'p50 µs': own.map((round) => round.p50Us),
    'p90 µs': own.map((round) => round.p90Us),
    'p99 µs': own.map((round) => round.p99Us),
    'p99.9 µs': own.map((round) => round.p999Us),
    'CPU µs/call': own.map((round) => round.cpuUs),
  });
}

/** Memory that idle connections hold, after the loads, so that what a server keeps anyway is there already. */
async function memoryRow({ target, call, idleMb }: Server): Promise<BenchRow> {
  const beforeMb = treeUse(target.pid, () => false).residentMb;
  const sockets = await openConnections(call);
  await Bun.sleep(SETTLE_MS);
  const withMb = treeUse(target.pid, () => false).residentMb;
  for (const socket of sockets) socket.terminate();
  return {
    name: `memory: ${target.name}`,
    figures: {
      'RSS idle MB': idleMb,
      'RSS loaded MB': beforeMb,
      'KB a connection': Math.max(0, ((withMb - beforeMb) * KB) / sockets.length),
    },
  };
}

function requestBytes({ url, http, headers, body }: H2Call): Uint8Array {
  const place = new URL(url);
  if (http === '2') return http2Request(place, headers, body);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `POST ${place.pathname} HTTP/1.1\r\nhost: ${place.host}\r\n${lines.join('')}content-length: ${body.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), body]);
}

const WIDTH = 50;
const ANSWER_WITHIN_MS = 10_000;

/** Connections that have each been answered something, and stay open. */
async function openConnections(call: H2Call): Promise<Bun.Socket<undefined>[]> {
  const url = new URL(call.url);
  const bytes = requestBytes(call);
  const sockets: Bun.Socket<undefined>[] = [];
  const openOne = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${call.url} did not answer`)), ANSWER_WITHIN_MS);
      Bun.connect({
        hostname: url.hostname,
        port: Number(url.port),
        socket: {
          open(socket) {
            sockets.push(socket);
            socket.write(bytes);
          },
          data() {
            clearTimeout(timer);
            resolve();
          },
        },
      }).catch(reject);
    });
  let left = CONNECTIONS;
  const walk = async (): Promise<void> => {
    while (left-- > 0) await openOne();
  };
  await Promise.all(Array.from({ length: WIDTH }, walk));
  return sockets;
}
