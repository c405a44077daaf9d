// The command line: every command with its options, help and examples.
// Called by main.ts and tests. Promises: the modules of a command are loaded when it runs, not before (start-up time);
// a wrong command line exits with 2 and says what is allowed; nothing a command throws escapes.
import { Command, CommanderError, Option } from 'commander';
import { GatewayError } from '../base/errors.ts';
import { configOption, examples, gathered, levelOption, port, seconds, whole, workers } from './arguments.ts';
import { addDoctor, addServers, addTail, addTop } from './operate/commands.ts';
import { EXIT, type World } from './world.ts';

/** Where `list` and `call` look for a gateway unless told otherwise. */
const DEFAULT_URL = 'http://127.0.0.1:8700';

/** Runs one command line (without the program's own name); resolves to the exit code. */
export async function runProgram(args: readonly string[], world: World): Promise<number> {
  let exitCode: number = EXIT.ok;
  const program = createProgram(world, (code) => {
    exitCode = code;
  });
  try {
    if (args.length === 0) program.outputHelp();
    else await program.parseAsync([...args], { from: 'user' });
    return exitCode;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? EXIT.ok : EXIT.usage;
    world.err(`sluice: ${faultText(thrown)}\n`);
    return EXIT.failed;
  }
}

function faultText(thrown: unknown): string {
  if (thrown instanceof GatewayError && thrown.code !== 'GW_BASE_INTERNAL')
    return `${thrown.message} [${thrown.code}]`;
  return thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
}

/** The program with all its commands; `done` is told a command's exit code. */
function createProgram(world: World, done: (exitCode: number) => void): Command {
  const program = new Command('sluice')
    .description(
      'An edge gateway for the Model Context Protocol: one door between many AI clients and many MCP servers.',
    )
    .version(world.version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .exitOverride()
    .enablePositionalOptions()
    .configureOutput({
      writeOut: (text) => world.out(text),
      writeErr: (text) => world.err(text.replace(/^error: /, 'sluice: ')),
      getOutHasColors: () => world.isColourWanted(),
      getErrHasColors: () => false,
    });
  program.addHelpText(
    'after',
    examples([
      'sluice serve --config sluice.yaml',
      'sluice run -- npx -y @modelcontextprotocol/server-filesystem .',
      'sluice list',
    ]),
  );
  for (const add of [addServe, addRun, addStdio, addCheck, addList, addCall, addBench])
    add(program, world, done);
  for (const add of [addServers, addTop, addTail, addDoctor]) add(program, world, done);
  return program;
}

function addServe(program: Command, world: World, done: (exitCode: number) => void): void {
  program
    .command('serve')
    .description('Serve the MCP servers of a configuration over HTTP.')
    .addOption(configOption())
    .option('--host <host>', 'listen on this address instead of listen.host')
    .option('--port <port>', 'listen on this port instead of listen.port; 0 takes any free one', port)
    .option('--admin-port <port>', 'admin port instead of admin.port; 0 takes any free one', port)
    .option('--no-admin', 'serve without the admin listener: no dashboard, API or metrics')
    .option('--workers <count>', 'threads that serve, instead of workers: a number, or auto', workers)
    .addOption(
      new Option('--transport <name>', 'what reads requests, instead of listen.transport').choices([
        'uwebsockets',
        'sockets',
      ]),
    )
    .addOption(levelOption())
    .option('--welcome', 'print what to try next once it serves')
    .addHelpText(
      'after',
      examples([
        'sluice serve',
        'sluice serve --config ./sluice.yaml --port 8080',
        'sluice serve --config ~/.cursor/mcp.json --log debug',
      ]),
    )
    .action(async (options) => done(await (await import('./serve.ts')).serve(world, options)));
}

function addRun(program: Command, world: World, done: (exitCode: number) => void): void {
  program
    .command('run')
    .description('Put one stdio MCP server on HTTP, at /mcp.')
    .usage('[options] -- COMMAND [ARGUMENT...]')
    .argument('<command...>', 'the program to start and its arguments')
    .option('--host <host>', 'listen on this address', '127.0.0.1')
    .option('--port <port>', 'listen on this port; 0 takes any free one', port, 8700)
    .option('--admin-port <port>', 'admin port (default: 8701 if it is free); 0 takes any free one', port)
    .option('--no-admin', 'serve without the admin listener: no dashboard, API or metrics')
    .option('--workers <count>', 'threads that serve: a number, or auto (default: auto)', workers)
    .option('--name <name>', 'name of the server, for /mcp/<name> and the log (default: from the command)')
    .addOption(levelOption())
    .passThroughOptions()
    .addHelpText(
      'after',
      examples([
        'sluice run -- npx -y @modelcontextprotocol/server-filesystem .',
        'API_TOKEN=… sluice run --port 9000 --name docs -- ./docs-server --verbose',
      ]),
    )
    .action(async (command, options) => done(await (await import('./run.ts')).run(world, command, options)));
}

function addStdio(program: Command, world: World, done: (exitCode: number) => void): void {
  program
    .command('stdio')
    .description(
      'Serve all servers of a configuration on stdin and stdout, for a client that starts its servers itself.',
    )
    .addOption(configOption())
    .addOption(levelOption())
    .addHelpText('after', examples(['sluice stdio --config /home/me/sluice.yaml']))
    .action(async (options) => done(await (await import('./stdio.ts')).stdio(world, options)));
}

function addCheck(program: Command, world: World, done: (exitCode: number) => void): void {
  program
    .command('check')
    .description('Validate a configuration and print what it amounts to. Starts nothing.')
    .addOption(configOption())
    .option('--against <file>', 'the configuration that a gateway runs by: print what a reload would change')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      examples([
        'sluice check',
        'sluice check --config new.yaml --against sluice.yaml',
        'sluice check --config ~/.cursor/mcp.json',
        'sluice check --json | jq .servers',
      ]),
    )
    .action(async (options) => done(await (await import('./check.ts')).check(world, options)));
}

function addList(program: Command, world: World, done: (exitCode: number) => void): void {
  program
    .command('list')
    .description('List the tools of a running gateway.')
    .option('--url <url>', 'where the gateway is', DEFAULT_URL)
    .addOption(new Option('--server <name>', 'only the tools of this server').conflicts('endpoint'))
    .option('--endpoint <name>', 'the tools that this endpoint of the configuration shows')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      examples([
        'sluice list',
        'sluice list --server clock',
        'sluice list --endpoint ops',
        'sluice list --json | jq -r .[].name',
      ]),
    )
    .action(async (options) => done(await (await import('./list.ts')).list(world, options)));
}

function addCall(program: Command, world: World, done: (exitCode: number) => void): void {
  program
    .command('call')
    .description('Call a tool through a running gateway and print what it answers.')
    .argument('<server>', 'name of the server')
    .argument('<tool>', "the tool's own name, without prefix")
    .argument('[json]', 'its arguments: a JSON object, @FILE, or - for stdin', '{}')
    .option('--url <url>', 'where the gateway is', DEFAULT_URL)
    .option('--json', 'print the whole result as JSON')
    .addHelpText(
      'after',
      examples([
        'sluice call clock now',
        `sluice call clock roll '{"count":3}'`,
        'sluice call notes add @note.json',
        `echo '{"text":"one two"}' | sluice call notes count - --json`,
      ]),
    )
    .action(async (server, tool, json, options) =>
      done(await (await import('./call.ts')).call(world, { server, tool, json }, options)),
    );
}

function addBench(program: Command, world: World, done: (exitCode: number) => void): void {
  program
    .command('bench')
    .description('Load one MCP endpoint, of whatever make and era, and print throughput and latencies.')
    .argument('<url>', 'the endpoint, for example http://127.0.0.1:8700/mcp')
    .option('--tool <name>', 'tool to call (default: echo, if there is one)')
    .option('--args <json>', 'its arguments: a JSON object, @FILE, or - for stdin (default: from its schema)')
    .addOption(
      new Option('--era <era>', 'protocol era to speak')
        .choices(['auto', 'modern', 'legacy'])
        .default('auto'),
    )
    .addOption(
      new Option('--method <method>', 'what to ask for: tools/call, tools/list, or the greeting of the era')
        .choices(['call', 'list', 'initialize'])
        .default('call'),
    )
    .option('-c, --connections <n>', 'clients, each with a connection of its own', whole(1, 16_384), 16)
    .option('--duration <seconds>', 'how long to count', seconds, 10)
    .option('--count <n>', 'end after so many calls, if the time is not over before', whole(1, 1e12))
    .option('--rate <n>', 'calls per second that are due, answered or not (open model)', whole(1, 1e6))
    .option(
      '--payload <bytes>',
      'fill the first string argument up to so many bytes',
      whole(1, 64 * 1024 * 1024),
    )
    .option('--warm-up <seconds>', 'load before the counting begins', seconds, 1)
    .option('--timeout <seconds>', 'longest wait for an answer', seconds, 30)
    .option('--progress', 'say `counting` and `counted` on stderr when the counting begins and ends')
    .option('--header <line>', 'add a header to every request; may be given again', gathered, [])
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      examples([
        'sluice bench http://127.0.0.1:8700/mcp/clock --tool now',
        `sluice bench 127.0.0.1:8700/mcp --tool notes__count --args '{"text":"one two"}' -c 64 --duration 30`,
        'sluice bench http://127.0.0.1:3000/mcp --rate 2000 --json',
        "sluice bench http://127.0.0.1:3000/mcp --method list --era legacy --header 'Authorization: Bearer …'",
      ]),
    )
    .action(async (url, options) => done(await (await import('./bench.ts')).bench(world, url, options)));
}
