// The reaper: a tiny shell process that outlives the gateway by a second and ends the process groups it left behind.
// Called by bun-child.ts. Promises: it knows a group in the same turn of the loop in which the group was started, and acts
// only when its pipe closes, which the kernel does however the gateway ends, SIGKILL included.
//
// What it does not cover: a gateway killed in the microseconds between posix_spawn and the line to the reaper. Such a
// child still finds its stdin closed, on which every well-made stdio server ends by itself.

/**
 * Lines `+PGID` and `-PGID` come on stdin; at its end the groups still listed get TERM and a second later KILL. Traps keep
 * it alive when a terminal or a supervisor signals everything. Only what every POSIX sh has built in, and `sleep`; shells
 * differ in how they take a negative number, so both spellings of kill are tried.
 */
export const REAPER_SCRIPT = `trap '' HUP INT TERM QUIT PIPE
groups=' '
while read -r line; do
  id=\${line#?}
  case $line in
    +*) groups="$groups$id " ;;
    -*) case $groups in *" $id "*) groups="\${groups%%" $id "*} \${groups#*" $id "}" ;; esac ;;
  esac
done
[ "$groups" = ' ' ] && exit 0
end() {
  for id in $groups; do kill -s "$1" -- "-$id" || kill "-$1" "-$id"; done 2>/dev/null
}
end TERM
sleep 1
end KILL
exit 0
`;

/** Notes which process groups must not outlive the gateway. */
export interface Reaper {
  add(group: number): void;
  remove(group: number): void;
}

type ReaperProcess = Bun.Subprocess<'pipe', 'ignore', 'ignore'>;

/**
 * A reaper whose process starts with the first group and is started again if someone ends it. It never keeps the gateway
 * alive. `note` hears of every group that comes and goes, the reaper's own included.
 */
export function createReaper(note: (group: number, alive: boolean) => void): Reaper {
  const groups = new Set<number>();
  let shell: ReaperProcess | null = null;

  const start = (): ReaperProcess => {
    const started = Bun.spawn({
      cmd: ['/bin/sh', '-c', REAPER_SCRIPT],
      stdin: 'pipe',
      stdout: 'ignore',
      stderr: 'ignore',
      env: { PATH: '/usr/bin:/bin' },
      cwd: '/',
      // A session of its own: no terminal's Ctrl-C reaches it.
      detached: true,
      onExit(ended) {
        note(ended.pid, false);
        if (shell !== null && ended.pid === shell.pid) shell = null;
        if (groups.size > 0) tell('');
      },
    });
    note(started.pid, true);
    started.unref();
    started.stdin.unref();
    return started;
  };

  const tell = (line: string): void => {
    let text = line;
    if (shell === null) {
      shell = start();
      text = [...groups].map((group) => `+${group}\n`).join('');
    }
    // Rejected when the shell has just been ended by someone: onExit starts another one, which is told everything.
    void Promise.resolve(shell.stdin.write(text)).catch(() => undefined);
    void Promise.resolve(shell.stdin.flush()).catch(() => undefined);
  };

  return {
    add(group) {
      groups.add(group);
      tell(`+${group}\n`);
      note(group, true);
    },
    remove(group) {
      groups.delete(group);
      tell(`-${group}\n`);
      note(group, false);
    },
  };
}
