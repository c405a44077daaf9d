// The reaper: a tiny shell process that outlives the gateway by a second and ends the process groups it left behind.
// Called by bun.ts and node.ts, and by those who start children. Promises: it knows a group in the same turn of the loop in which the group was started, and acts
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

/** What the shell's environment is: nothing of the gateway's. */
export const REAPER_ENV: Readonly<Record<string, string>> = { PATH: '/usr/bin:/bin' };

/** A shell that runs the script. */
export interface ReaperShell {
  readonly pid: number;
  write(text: string): void;
}

/** Starts one in a session of its own, in `/`, which keeps no gateway alive; `onExit` comes in a later turn, once. */
export type StartShell = (onExit: () => void) => ReaperShell;

/**
 * A reaper whose process starts with the first group and is started again if someone ends it. It never keeps the gateway
 * alive. `note` hears of every group that comes and goes, the reaper's own included.
 */
export function createReaper(note: (group: number, alive: boolean) => void, startShell: StartShell): Reaper {
  const groups = new Set<number>();
  let shell: ReaperShell | null = null;

  const start = (): ReaperShell => {
    const started = startShell(() => {
      note(started.pid, false);
      if (shell === started) shell = null;
      if (groups.size > 0) tell('');
    });
    note(started.pid, true);
    return started;
  };

  const tell = (line: string): void => {
    let text = line;
    if (shell === null) {
      shell = start();
      text = [...groups].map((group) => `+${group}\n`).join('');
    }
    shell.write(text);
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
