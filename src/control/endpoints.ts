// The endpoints of a snapshot: /mcp for all servers, one for each of them, and those of the configuration's own.
// Called by compile.ts. Promises: pure; an endpoint that shows everything by the rule has no view, so that its calls cost nothing more; one whose servers
// are all disabled is not served.
import type { NamedSpec, ViewSpec } from '../mcp/view.ts';
import type { EndpointSpec } from '../snapshot.ts';
import { compileEndpointPolicy } from './endpoint-policies.ts';
import type { EndpointConfig } from './endpoint-schema.ts';
import type { Config } from './schema.ts';

type Chosen = Pick<EndpointConfig, 'tools' | 'prompts' | 'resources'>;

/** Shows everything. */
const ALL: NamedSpec = Object.freeze({ allow: null, deny: [], rename: {}, override: {} });

/**
 * The endpoints over these servers, which are those that are not disabled, in the configuration's order. Of `former`, what says the same in the same place is taken over
 * as it is: almost all of thousands.
 */
export function compileEndpoints(
  names: readonly string[],
  config: Pick<Config, 'prefix' | 'endpoints'>,
  former: readonly EndpointSpec[] = [],
): readonly EndpointSpec[] {
  const members = former[0]?.members.length === names.length ? former[0].members : names.map((_, at) => at);
  return [
    { name: '', path: '/mcp', members, ...looks(members.length, config.prefix, null) },
    ...names.map((name, index) => {
      const had = former[index + 1];
      return had !== undefined && isOwnOf(had, name, index) ? had : ownEndpoint(name, index);
    }),
    ...Object.entries(config.endpoints).flatMap(([name, one]): EndpointSpec[] => {
      const own = (one.servers ?? names).map((server) => names.indexOf(server)).filter((index) => index >= 0);
      if (own.length === 0) return [];
      const shown = looks(own.length, one.prefix, one);
      return [{ name, path: `/mcp/${name}`, members: own, ...shown, ...compileEndpointPolicy(one.policy) }];
    }),
  ];
}

/** A server's own. */
function ownEndpoint(name: string, index: number): EndpointSpec {
  return { name, path: `/mcp/${name}`, members: [index], prefixed: false };
}

/** True when an endpoint is what ownEndpoint() makes. */
function isOwnOf(
  { name, members, prefixed, view, policy }: EndpointSpec,
  own: string,
  index: number,
): boolean {
  const isPlain = !prefixed && view === undefined && policy === undefined;
  return name === own && members.length === 1 && members[0] === index && isPlain;
}

/** Whether names are prefixed, and the view where there is more to be said. */
function looks(
  count: number,
  prefix: Config['prefix'],
  chosen: Chosen | null,
): Pick<EndpointSpec, 'prefixed' | 'view'> {
  const prefixed = prefix === 'always' || (prefix === 'auto' && count !== 1);
  const view: ViewSpec = {
    names: prefixed ? 'prefixed' : 'own',
    tools: chosen === null ? ALL : namedSpec(chosen.tools),
    prompts: chosen === null ? ALL : namedSpec(chosen.prompts),
    resources: chosen === null ? { allow: null, deny: [] } : choiceSpec(chosen.resources),
  };
  const isRule = prefixed || count === 1;
  return isRule && showsAll(view) ? { prefixed } : { prefixed, view };
}

function choiceSpec({ allow, deny }: EndpointConfig['resources']) {
  return { allow: allow ?? null, deny };
}

function namedSpec({ rename, override, ...chosen }: EndpointConfig['tools']): NamedSpec {
  return { ...choiceSpec(chosen), rename, override };
}

function showsAll({ tools, prompts, resources }: ViewSpec): boolean {
  const isOpen = [tools, prompts, resources].every(({ allow, deny }) => allow === null && deny.length === 0);
  return isOpen && [tools, prompts].every(({ rename, override }) => isEmpty(rename) && isEmpty(override));
}

function isEmpty(table: object): boolean {
  return Object.keys(table).length === 0;
}
