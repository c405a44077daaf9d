// The clients of a soak: each does one thing after the other, at one server's endpoint or at the one of all, until it is told to stop.
// Called by run.ts. Promises: what a client does is drawn from a seed of its own; sessions are begun, ended and abandoned; nobody waits for ever.

import { Dice } from '../../test/sim/dice.ts';
import { NEW_SDK } from '../compatibility/sdk-new.ts';
import { OLD_SDK } from '../compatibility/sdk-old.ts';
import type { Ledger } from './ledger.ts';
import type { Place } from './places.ts';
import { LegacyClient, modern, Trouble } from './rpc.ts';
import { type Asker, ECHO_WEIGHTS, play, type SceneName, type Stage, type Way, WEIGHTS } from './scenes.ts';

/** What all clients have in common. */
export interface Crowd {
  /** The gateway's, without a path. */
  readonly url: string;
  readonly places: readonly Place[];
  readonly ledger: Ledger;
  readonly isOver: () => boolean;
  /** Resolves when nobody rests. */
  readonly rested: () => Promise<void>;
}

/** Clients by the era they speak and whose make they are. */
export type ClientKind = 'modern' | 'legacy' | 'sdk';

/** Share of visits that go through the endpoint of all servers. */
const TOGETHER_SHARE = 0.3;
const ABANDON_SHARE = 0.3;
const CALM_MS = 40;

/** Tools that the endpoint of all must list: one of each server that is well. */
export function toolsOfAll(places: readonly Place[]): string[] {
  return places.filter(({ health }) => health === 'healthy').map(({ name }) => `${name}__echo`);
}

/** The tools that an endpoint must list: those of one server, or of all that are well. */
function toolsOf(crowd: Crowd, place: Place, isTogether: boolean): string[] {
  if (!isTogether) return [place.kind === 'echo' ? 'echo' : 'slow'];
  return toolsOfAll(crowd.places);
}

function wayTo(crowd: Crowd, place: Place, isTogether: boolean): Way {
  return {
    place,
    url: `${crowd.url}/mcp${isTogether ? '' : `/${place.name}`}`,
    name: (own) => (isTogether ? `${place.name}__${own}` : own),
    uri: (own) => (isTogether ? `${place.name}+${own}` : own),
  };
}

/** Draws a scene that its server can play. A legacy process that all clients share was told at its start what one of them can do: it asks nobody. */
function sceneFor({ kind, isProcess, era }: Place, dice: Dice): SceneName {
  const scene = dice.weighted<SceneName>(kind === 'echo' ? ECHO_WEIGHTS : WEIGHTS) ?? 'call';
  const isQuestion = scene === 'ask' || scene === 'park';
  return isQuestion && isProcess && era !== 'modern' ? 'call' : scene;
}

/** Plays one scene and books it. True when it went well. */
async function turn(crowd: Crowd, stage: Stage, who: string): Promise<boolean> {
  const { place } = stage.way;
  const scene = sceneFor(place, stage.dice);
  const where = stage.way.url.endsWith('/mcp') ? `/mcp, ${place.name}` : `/mcp/${place.name}`;
  return book(crowd.ledger, place, { scene, about: `${who} at ${where}` }, () => play(scene, stage));
}

async function book(
  ledger: Ledger,
  { health }: Place,
  what: { readonly scene: string; readonly about: string },
  run: () => Promise<unknown>,
): Promise<boolean> {
  try {
    await run();
    ledger.succeed(health, what.scene);
    return true;
  } catch (error) {
    const why = error instanceof Trouble ? error.message : `unexpected: ${String(error).slice(0, 200)}`;
    ledger.fail(health, `${what.about}: ${what.scene}: ${why}`);
    return false;
  }
}

/** A client of one kind; resolves when it has stopped. */
export async function runClient(crowd: Crowd, kind: ClientKind, seed: number): Promise<void> {
  const dice = new Dice(seed);
  while (!crowd.isOver()) {
    const [first, ...rest] = crowd.places;
    if (first === undefined) return;
    const place = dice.pick([first, ...rest]);
    const isTogether = dice.chance(TOGETHER_SHARE);
    await VISITS[kind](crowd, { place, isTogether, dice });
    await Bun.sleep(dice.between(0, CALM_MS));
    await crowd.rested();
  }
}

/** Where a client goes, and what it draws from. */
interface Visit {
  readonly place: Place;
  readonly isTogether: boolean;
  readonly dice: Dice;
}

function stageFor(crowd: Crowd, { place, isTogether, dice }: Visit, asker: Asker): Stage {
  const way = wayTo(crowd, place, isTogether);
  return { asker, way, dice, ledger: crowd.ledger, tools: toolsOf(crowd, place, isTogether) };
}

async function goOn(crowd: Crowd, stage: Stage, who: string, most: number): Promise<void> {
  const turns = stage.dice.whole(1, most);
  for (let n = 0; n < turns && !crowd.isOver(); n++) {
    if (!(await turn(crowd, stage, who))) return;
    await Bun.sleep(stage.dice.between(0, CALM_MS));
  }
}

async function modernVisit(crowd: Crowd, visit: Visit): Promise<void> {
  const { url } = wayTo(crowd, visit.place, visit.isTogether);
  const asker: Asker = {
    legacy: null,
    ask: (method, params, options) => modern(url, method, params, options),
  };
  await goOn(crowd, stageFor(crowd, visit, asker), 'modern client', 5);
}

/** True where the session is the server's own, which the gateway passes through: the fixture would keep it for ever, as it may. */
function isServersOwn({ place, isTogether }: Visit): boolean {
  return !isTogether && place.kind === 'fixture' && place.era === 'legacy' && !place.isProcess;
}

async function legacyVisit(crowd: Crowd, visit: Visit): Promise<void> {
  const { url } = wayTo(crowd, visit.place, visit.isTogether);
  const client = new LegacyClient(url);
  const asker: Asker = {
    legacy: client,
    ask: (method, params, options) => client.request(method, params, options),
  };
  const about = `legacy client at ${new URL(url).pathname}`;
  // The endpoint of all has to take up everyone, whoever is ill.
  const host = visit.isTogether ? { ...visit.place, health: 'healthy' as const } : visit.place;
  const hasBegun = await book(crowd.ledger, host, { scene: 'begin', about }, () => client.begin());
  if (hasBegun) await goOn(crowd, stageFor(crowd, visit, asker), 'legacy client', 25);
  const abandon = visit.dice.chance(ABANDON_SHARE) && !isServersOwn(visit);
  if (abandon || !hasBegun) {
    crowd.ledger.left++;
    // The server may have begun a session of its own all the same.
    await client.end(!isServersOwn(visit)).catch(() => undefined);
  } else await book(crowd.ledger, host, { scene: 'end', about }, () => client.end(false));
}

/** The official clients, for a few calls each. */
async function sdkVisit(crowd: Crowd, visit: Visit): Promise<void> {
  const { place, dice } = visit;
  const way = wayTo(crowd, place, visit.isTogether);
  const client = dice.pick([OLD_SDK, ...NEW_SDK]);
  const about = `${client.name} at ${new URL(way.url).pathname}, ${place.name}`;
  await book(crowd.ledger, place, { scene: 'sdk', about }, async () => {
    const driver = await client.connect(way.url);
    try {
      for (let n = dice.whole(1, 6); n > 0 && !crowd.isOver(); n--) {
        const text = `soak-sdk-${dice.whole(1, 1e9)}`;
        const result = await driver.call(way.name('echo'), { text });
        if (!result.text.includes(text)) throw new Trouble('CROSSED: another result than that of echo');
      }
      const names = await driver.toolNames();
      const missing = toolsOf(crowd, place, visit.isTogether).filter((name) => !names.includes(name));
      if (missing.length > 0) throw new Trouble(`a list without ${missing.slice(0, 3).join(', ')}`);
    } finally {
      await driver.close().catch(() => undefined);
    }
  });
}

const VISITS: Readonly<Record<ClientKind, (crowd: Crowd, visit: Visit) => Promise<void>>> = {
  modern: modernVisit,
  legacy: legacyVisit,
  sdk: sdkVisit,
};
