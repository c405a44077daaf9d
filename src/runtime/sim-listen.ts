// Which listener a simulated port gets: our own HTTP/1.1 on simulated sockets, or the one that stands for uWebSockets.
// Called by sim.ts and sim-realm.ts. Promises: runtime.ts.
import type { Listener, ListenOptions, RequestHandler } from './runtime.ts';
import { listenSimHttp1 } from './sim-http1.ts';
import { SimListener } from './sim-listener.ts';
import type { Places } from './sim-network.ts';

/** Starts a listener; throws GW_RUNTIME_LISTEN when the port is taken. `fault` hears of what a handler threw. */
export function listenSim(
  places: Places,
  options: ListenOptions,
  handler: RequestHandler,
  fault: (thrown: unknown) => void,
): Listener {
  if (options.transport === 'sockets') return listenSimHttp1(places, options, handler, fault);
  return new SimListener(places, options, handler);
}
