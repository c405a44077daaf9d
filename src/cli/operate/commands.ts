// The commands of operators on the command line: servers, top, tail, doctor, with their options, help and examples.
// Called by program.ts. Promises: as there: what a command needs is loaded when it runs.
import { type Command, InvalidArgumentError, Option } from 'commander';
import { nearest } from '../../control/suggest.ts';
import { configOption, examples, gathered, whole } from '../arguments.ts';
import type { World } from '../world.ts';

type Done = (exitCode: number) => void;

/** Adds the options that say which gateway is meant. */
function aimed(command: Command): Command {
  return command
    .option(
      '--admin <url>',
      "the gateway's admin listener (default: where the configuration has it, else http://127.0.0.1:8701)",
    )
    .option(
      '--token <token>',
      'its token (default: SLUICE_ADMIN_TOKEN, else as the gateway keeps it: admin.token in dataDir)',
    )
    .addOption(configOption());
}

/** Adds `sluice servers` and what is below it. */
export function addServers(program: Command, world: World, done: Done): void {
  const servers = program
    .command('servers')
    .description('The servers of a running gateway: list them; with a command: add, edit, remove, restart.')
    .enablePositionalOptions()
    .argument('[none...]', '')
    .usage('[options] [command]')
    .option('--search <text>', 'only those whose name or settings hold it')
    .option('--json', 'print JSON');
  aimed(servers).addHelpText(
    'after',
    examples([
      'sluice servers',
      'sluice servers --json | jq .[].name',
      'sluice servers add docs --url https://docs.example/mcp --plan',
      'sluice servers add files -- npx -y @modelcontextprotocol/server-filesystem .',
      'sluice servers edit docs --set concurrencyMax=20 --unset queueDepthMax',
      'sluice servers restart docs',
    ]),
  );
  servers.action(async (none: readonly string[], options) => {
    const names = servers.commands.map((command) => command.name());
    const [wrong] = none;
    if (wrong !== undefined) {
      const near = nearest(wrong, names);
      const advice = near === null ? `there are ${names.join(', ')}` : `did you mean ${near}?`;
      servers.error(`error: unknown command 'servers ${wrong}': ${advice}`);
    }
    done(await (await import('./servers.ts')).listServers(world, options));
  });
  for (const add of [addAdd, addEdit, addRemove, addRestart, addSwitches]) add(servers, world, done);
}

/** Adds what every change has; what stands before it (`servers --admin … add`) counts too. */
function changing(command: Command): Command {
  return aimed(command).option('--plan', 'only say what would change').option('--json', 'print JSON');
}

function described(command: Command): Command {
  return command
    .option('--url <url>', 'where an HTTP server is')
    .option('--header <line>', 'Name=value, sent with every request; may be given again', gathered)
    .option('--env <line>', "NAME=value, for a stdio server's environment; may be given again", gathered)
    .option('--set <line>', 'key=value, any option of docs/config.md; may be given again', gathered);
}

function addAdd(servers: Command, world: World, done: Done): void {
  const command = servers
    .command('add')
    .description('Add a server. The gateway keeps it, and serves it at once at /mcp/<name>.')
    .usage('<name> [options] (--url <url> | -- COMMAND [ARGUMENT...])')
    .argument('<name>', 'its name')
    .argument('[command...]', 'the program of a stdio server and its arguments, behind --');
  changing(described(command))
    .addHelpText(
      'after',
      examples([
        'sluice servers add docs --url https://docs.example/mcp',
        "sluice servers add docs --url https://docs.example/mcp --header 'Authorization=Bearer ${DOCS_TOKEN}' --plan",
        'sluice servers add files -- npx -y @modelcontextprotocol/server-filesystem .',
        'sluice servers add db --env DB_HOST=10.0.0.9 --set concurrencyMax=4 -- ./db-server --verbose',
      ]),
    )
    .action(async (name, given, _, own: Command) =>
      done(
        await (await import('./servers.ts')).addServer(world, name, {
          ...own.optsWithGlobals(),
          command: given,
        }),
      ),
    );
}

function addEdit(servers: Command, world: World, done: Done): void {
  const command = servers
    .command('edit')
    .description('Change some settings of a server. What is not named stays, secrets too.')
    .argument('<name>', 'its name');
  changing(described(command))
    .option('--unset <key>', 'back to the default; may be given again', gathered)
    .addHelpText(
      'after',
      examples([
        'sluice servers edit docs --set concurrencyMax=20 --plan',
        'sluice servers edit docs --set breaker.failures=5 --unset queueDepthMax',
        `sluice servers edit docs --set 'tools["report.v1"].timeoutMs=30000'`,
        'sluice servers edit docs --unset headers.X-Old',
      ]),
    )
    .action(async (name, _, own: Command) =>
      done(await (await import('./servers.ts')).editServer(world, name, own.optsWithGlobals())),
    );
}

function addRemove(servers: Command, world: World, done: Done): void {
  changing(
    servers.command('rm').alias('remove').description('Remove a server.').argument('<name>', 'its name'),
  )
    .option('-y, --yes', 'do not ask')
    .addHelpText(
      'after',
      examples(['sluice servers rm docs', 'sluice servers rm docs --plan', 'sluice servers rm docs --yes']),
    )
    .action(async (name, _, own: Command) =>
      done(await (await import('./servers.ts')).removeServer(world, name, own.optsWithGlobals())),
    );
}

function addRestart(servers: Command, world: World, done: Done): void {
  aimed(
    servers
      .command('restart')
      .description(
        'Begin a server anew: what runs may finish, what comes meets fresh connections and processes.',
      )
      .argument('<name>', 'its name'),
  )
    .addHelpText('after', examples(['sluice servers restart files']))
    .action(async (name, _, own: Command) =>
      done(await (await import('./servers.ts')).restartServer(world, name, own.optsWithGlobals())),
    );
}

function addSwitches(servers: Command, world: World, done: Done): void {
  for (const [verb, what] of [
    ['enable', 'Serve a server again.'],
    ['disable', 'Leave a server out, and keep its settings.'],
  ] as const)
    changing(servers.command(verb).description(what).argument('<name>', 'its name'))
      .addHelpText('after', examples([`sluice servers ${verb} docs`, `sluice servers ${verb} docs --plan`]))
      .action(async (name, _, own: Command) =>
        done(await (await import('./servers.ts')).switchServer(world, [verb, name], own.optsWithGlobals())),
      );
}

/** Adds `sluice top`. */
export function addTop(program: Command, world: World, done: Done): void {
  aimed(
    program
      .command('top')
      .description('Watch a running gateway: rates, times, load, and every server. Keys: q ends it.')
      .option('--once', 'print one table and end, as it is without a terminal too'),
  )
    .addHelpText(
      'after',
      examples(['sluice top', 'sluice top --once', 'sluice top --admin http://127.0.0.1:9701']),
    )
    .action(async (options) => done(await (await import('./top.ts')).top(world, options)));
}

/** Adds `sluice tail`. */
export function addTail(program: Command, world: World, done: Done): void {
  aimed(
    program
      .command('tail')
      .description('Follow the traffic of a running gateway: one line an exchange, as they end.')
      .option('--server <name>', 'only what went to this server')
      .option('--endpoint <path>', 'only what came by this endpoint, such as /mcp/docs')
      .option('--method <method>', 'only this method, such as tools/call')
      .addOption(
        new Option('--outcome <outcome>', 'only what ended so').choices([
          'ok',
          'refused',
          'failed',
          'abandoned',
        ]),
      )
      .option('--slow <ms>', 'only what took so long or longer', milliseconds)
      .option('-n, --lines <count>', 'begin with so many that have been', whole(0, 1_000), 10)
      .option('--no-follow', 'end after those')
      .option('--json', 'print one JSON object a line'),
  )
    .addHelpText(
      'after',
      examples([
        'sluice tail',
        'sluice tail --server docs --slow 250',
        'sluice tail --outcome failed --lines 100 --no-follow',
        `sluice tail --json | jq 'select(.sends > 1)'`,
      ]),
    )
    .action(async (options) => done(await (await import('./tail.ts')).tail(world, options)));
}

/** Adds `sluice doctor`. */
export function addDoctor(program: Command, world: World, done: Done): void {
  program
    .command('doctor')
    .description(
      'Look at what a gateway needs of this machine and its configuration, and say how to mend it.',
    )
    .addOption(configOption())
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `\nExit code: 0 when nothing is broken, warnings or not; 1 when something is.\n${examples([
        'sluice doctor',
        'sluice doctor --config /etc/sluice/sluice.yaml',
        `sluice doctor --json | jq '.checks[] | select(.state != "ok")'`,
      ])}`,
    )
    .action(async (options) => done(await (await import('../doctor/doctor.ts')).doctor(world, options)));
}

function milliseconds(text: string): number {
  const value = Number(text);
  if (/^[0-9]{1,9}(?:\.[0-9]+)?$/.test(text)) return value;
  // commander asks for this class.
  throw new InvalidArgumentError('Allowed: milliseconds, 0 or more.');
}
