// The figures of servers and endpoints that are gone, made as new for those that get their places.
// Called by reclaim.ts. Promises: what nobody records any more is zero afterwards, and a tool's place free; workers go on recording everything else meanwhile.
import type { PlaneMemory } from './memory.ts';
import {
  ENDPOINT_SERIES,
  endpointSeriesAt,
  SERVER_SERIES,
  serverSeriesAt,
  TOOL_KEY,
  TOOL_SERIES,
  TOOL_STATE,
  toolSeriesAt,
} from './series-layout.ts';

/** Of the server with this cell, and of its tools. */
export function clearServerSeries({ plan, words, doubles }: PlaneMemory, cell: number): void {
  for (let worker = 0; worker < plan.workers; worker++) {
    const at = serverSeriesAt(plan, worker, cell);
    // Places that nobody has written to are not touched: they take no memory until then.
    if (doubles.subarray(at, at + SERVER_SERIES.places).some((one) => one !== 0))
      doubles.fill(0, at, at + SERVER_SERIES.places);
    for (let place = 0; place < (plan.tools ?? 0); place++) {
      const tool = toolSeriesAt(plan, worker, place);
      const key = tool * 2;
      if (words[key + TOOL_KEY.state] !== TOOL_STATE.taken || words[key + TOOL_KEY.cell] !== cell) continue;
      doubles.fill(0, tool + TOOL_SERIES.exchanges, tool + TOOL_SERIES.places);
      Atomics.store(words, key + TOOL_KEY.state, TOOL_STATE.freed);
    }
  }
}

/** Of an endpoint. */
export function clearEndpointSeries({ plan, doubles }: PlaneMemory, endpoint: number): void {
  for (let worker = 0; worker < plan.workers; worker++) {
    const at = endpointSeriesAt(plan, worker, endpoint);
    doubles.fill(0, at, at + ENDPOINT_SERIES.places);
  }
}
