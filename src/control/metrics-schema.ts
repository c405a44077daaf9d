// The options of the metrics.
// Called by schema.ts. Promises: as schema.ts.
import * as z from 'zod/mini';
import { LIMITS } from '../base/limits.ts';
import { flag, told, whole } from './option.ts';

/** What is counted for /metrics. */
export const metricsOptions = told(
  z.prefault(
    z.strictObject({
      series: flag(
        true,
        'Counts each server, each tool, and where the time of calls goes. False: only endpoints, pools and processes are shown, and a call costs a little less.',
      ),
      toolsMax: whole(
        'tools',
        { min: 0, max: LIMITS.metricToolsMax, value: LIMITS.metricTools },
        'Tools of all servers together that each worker counts by name, rounded up to a power of two; calls of further ones are shown as `tool="other"`.',
      ),
    }),
    {},
  ),
  'What is counted for `/metrics`, which the admin listener serves.',
);
