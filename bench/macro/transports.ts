// What moves the bytes, compared: uWebSockets in Bun and on Node, node:http, and our own HTTP/1.1 on the sockets of both, by themselves and under the whole gateway.
// Called by bench/run.ts. Promises: nginx is in the same rounds, which are interleaved; ratios are taken within a round; what cannot run here is a note with the reason.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildForNode } from '../../test/fixtures/node-build.ts';
import { type BenchResult, type BenchRow, checksumOf, rowOf, skippedBench } from '../report.ts';
import { CALL_BODY, REPLY_BODY } from './call.ts';
import { startEcho, startGateway, startGatewayOnNode, startNginx } from './peers.ts';
import { interleave, LOADED, type Round, type RoutedOptions, ratio, SINGLE } from './routed.ts';
import { residentMb, startTarget, type Target, which } from './target.ts';
import { wrkScript } from './wrk.ts';

const ROOT = join(import.meta.dir, '..', '..');

/** How long to measure, and whether the gateways are left out. */
interface TransportOptions extends RoutedOptions {
  readonly isToy?: boolean;
}

/** Programs that the bench needs. */
interface Tools {
  readonly wrk: string;
  readonly script: string;
  readonly nginx: string;
  readonly node: string | null;
  /** The bundle of hello.ts for Node. */
  readonly hello: string;
}

type Start = () => Promise<Target>;

/** Runs both comparisons: results by name. */
export async function benchTransports(options: TransportOptions): Promise<Record<string, BenchResult>> {
  const [wrk, nginx, node] = ['wrk', 'nginx', 'node'].map(which);
  const title = 'transports';
  if (!wrk || !nginx)
    return {
      transports: skippedBench(title, 'wrk and nginx are needed (Debian: apt-get install wrk nginx-light)'),
    };
  // In the tree, so that Node finds its packages.
  mkdirSync(join(ROOT, 'out'), { recursive: true });
  const folder = mkdtempSync(join(ROOT, 'out', 'transports-'));
  const script = join(tmpdir(), `sluice-transports-${process.pid}.lua`);
  writeFileSync(script, wrkScript());
  try {
    const built = await Bun.build({
      entrypoints: [join(import.meta.dir, 'hello.ts')],
      outdir: folder,
      target: 'node',
      format: 'esm',
    });
    const tools = { wrk, nginx, script, node: node ?? null, hello: built.outputs[0]?.path ?? '' };
    const hello = await compare(
      'hello: what a listener costs by itself',
      helloTargets(tools),
      tools,
      options,
    );
    if (options.isToy === true) return { 'transports-hello': hello };
    if (node !== null) await buildForNode();
    const echo = await startEcho();
    try {
      const routed = await compare(
        'routed tools/call: the whole gateway on each transport',
        routedTargets(echo.url, tools),
        tools,
        options,
      );
      return { 'transports-hello': hello, 'transports-routed': routed };
    } finally {
      await echo.stop();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
    rmSync(script, { force: true });
  }
}

const HELLO_READY = {
  stream: 'stdout',
  read(line: string): string | null {
    const found = /"port":(\d+)/.exec(line);
    return found === null ? null : `http://127.0.0.1:${found[1]}/mcp`;
  },
} as const;

/** The echo upstream of the other benches is a Bun.serve, too; nginx passes the calls on to one. */
function helloTargets({ node, nginx, hello }: Tools): readonly Start[] {
  const source = join(import.meta.dir, 'hello.ts');
  const start =
    (name: string, ...command: readonly string[]): Start =>
    () =>
      startTarget(name, command, HELLO_READY);
  const onBun = [
    start('Bun.serve', process.execPath, source, 'uwebsockets'),
    start('our HTTP/1.1 on Bun', process.execPath, source, 'sockets'),
  ];
  const onNode = [
    start('uWebSockets.js on Node', node ?? '', hello, 'uwebsockets'),
    start('our HTTP/1.1 on Node', node ?? '', hello, 'sockets'),
    start('node:http', node ?? '', hello, 'http'),
  ];
  const behind = async (): Promise<Target> => {
    const echo = await startEcho();
    const proxy = await startNginx(nginx, echo.url);
    return { ...proxy, stop: () => proxy.stop().finally(() => echo.stop()) };
  };
  return [behind, ...onBun, ...(node === null ? [] : onNode)];
}

function routedTargets(upstream: string, { node, nginx, hello }: Tools): readonly Start[] {
  const source = join(import.meta.dir, 'hello.ts');
  const relay =
    (name: string, ...command: readonly string[]): Start =>
    () =>
      startTarget(`bare relay, ${name}`, [...command, upstream], HELLO_READY);
  const onBun = [
    relay('Bun.serve', process.execPath, source, 'uwebsockets'),
    (): Promise<Target> => startGateway(upstream),
    (): Promise<Target> => startGateway(upstream, 1, 'sockets'),
  ];
  const onNode = [
    relay('uWebSockets.js on Node', node ?? '', hello, 'uwebsockets'),
    relay('our HTTP/1.1 on Node', node ?? '', hello, 'sockets'),
    (): Promise<Target> => startGatewayOnNode('sluice on Node, uWebSockets.js', upstream, 'uwebsockets'),
    (): Promise<Target> => startGatewayOnNode('sluice on Node, sockets', upstream, 'sockets'),
  ];
  return [() => startNginx(nginx, upstream), ...onBun, ...(node === null ? [] : onNode)];
}

/** Measures all in turn; the first is what the others are compared with. */
async function compare(
  title: string,
  starts: readonly Start[],
  { wrk, script, node }: Tools,
  options: TransportOptions,
): Promise<BenchResult> {
  const targets: Target[] = [];
  try {
    for (const start of starts) targets.push(await start());
    const many = await interleave(targets, wrk, script, LOADED, options);
    const single = await interleave(targets, wrk, script, SINGLE, options);
    return {
      title,
      method: `wrk -t1 -c${LOADED}, then -c${SINGLE}; ${options.rounds} interleaved rounds of ${options.secondsPerRound} s; medians; CPU of all threads, from /proc; × is against nginx, as a blind proxy, within a round`,
      rows: targets.map((target, at) => rowOfTarget(target, many, single, at)),
      checksum: checksumOf(REPLY_BODY, checksumOf(CALL_BODY)),
      ...(node === null && { notes: ['Node is not in the PATH: its rows are left out'] }),
    };
  } finally {
    for (const target of targets.reverse()) await target.stop();
  }
}

function rowOfTarget(
  target: Target,
  many: readonly Round[][],
  single: readonly Round[][],
  at: number,
): BenchRow {
  const [rounds = [], alone = [], nginx = []] = [many[at], single[at], many[0]];
  return rowOf(
    target.name,
    {
      'CPU µs/call': rounds.map((round) => round.cpuUs),
      'p50 µs': rounds.map((round) => round.p50Us),
      'p99 µs': rounds.map((round) => round.p99Us),
      'p50 µs, c=1': alone.map((round) => round.p50Us),
      'p99 µs, c=1': alone.map((round) => round.p99Us),
    },
    { '× CPU': ratio(rounds, nginx, (round) => round.cpuUs), 'RSS MB': residentMb(target.pid) },
  );
}
