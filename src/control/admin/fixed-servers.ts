// The servers of a gateway without a registry: those of its configuration, which nobody changes from here.
// Called by cli/admin.ts. Promises: the contract of registry.ts; every change is refused with the reason; what operators do besides is in the log alone.
import type { Log } from '../../observe/log.ts';
import { fileEntry, withoutDefaults } from '../registry/defaults.ts';
import type { Mapping, Refusal, Registry, RegistryState, ServerEntry } from '../registry/registry.ts';
import { shownSettings } from '../registry/secrets.ts';
import type { Config } from '../schema.ts';

const DETAIL = 'this gateway has none: `sluice serve` has, unless registry.enabled is false';

/** See the head of this file. */
export class FixedServers implements Registry {
  readonly #config: () => Config;
  readonly #log: Log;
  readonly state: RegistryState = { state: 'absent', path: null, detail: DETAIL };

  /** `config` gives the configuration in force. */
  constructor(config: () => Config, log: Log) {
    this.#config = config;
    this.#log = log;
  }

  list(): readonly ServerEntry[] {
    return Object.keys(this.#config().servers).flatMap((name) => this.get(name) ?? []);
  }

  get(name: string): ServerEntry | null {
    const { servers } = this.#config();
    const server = Object.hasOwn(servers, name) ? servers[name] : undefined;
    if (server === undefined) return null;
    return fileEntry(name, server, shownSettings(withoutDefaults(server)));
  }

  put(): Promise<Refusal> {
    return refused();
  }

  patch(): Promise<Refusal> {
    return refused();
  }

  remove(): Promise<Refusal> {
    return refused();
  }

  setEnabled(): Promise<Refusal> {
    return refused();
  }

  importText(): Promise<Refusal> {
    return refused();
  }

  async exportText(format: 'yaml' | 'mcpServers', hasSecrets: boolean): Promise<string> {
    const servers = Object.entries(this.#config().servers).map(
      ([name, server]): readonly [string, Mapping] => {
        const settings = withoutDefaults(server);
        return [name, hasSecrets ? settings : shownSettings(settings)];
      },
    );
    return (await import('../registry/export.ts')).exportServers(servers, format);
  }

  audit(): { readonly items: readonly never[]; readonly next: null } {
    return { items: [], next: null };
  }

  async noteAction({ actor, action, subject }: Parameters<Registry['noteAction']>[0]): Promise<void> {
    this.#log.info('an operator acted', { actor, action, subject });
  }

  async settled(): Promise<void> {
    // Nothing is ever changed.
  }

  onEvent(): () => void {
    return () => undefined;
  }
}

function refused(): Promise<Refusal> {
  return Promise.resolve({ ok: false, code: 'GW_REGISTRY_CLOSED', detail: DETAIL, problems: [] });
}
