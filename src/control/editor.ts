// The JSON Schema of a configuration, for editors and for docs/config.md.
// Called by scripts/docs.ts and tests. Promises: made from schema.ts alone; what a file may hold, defaults not yet filled in;
// a number or a boolean may also be one ${NAME} reference.
import * as z from 'zod/mini';
import { configSchema } from './schema.ts';

/** A node of the JSON Schema, as far as it is used here. */
export interface SchemaNode {
  readonly type?: string;
  readonly description?: string;
  readonly unit?: string;
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly const?: string;
  readonly enum?: readonly string[];
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly required?: readonly string[];
  readonly items?: SchemaNode;
  readonly additionalProperties?: SchemaNode | boolean;
  readonly anyOf?: readonly SchemaNode[];
}

/** The schema with our own `unit` still in it: what docs/config.md is made from. */
export function annotatedSchema(): SchemaNode {
  // zod's type of a JSON Schema node allows all that ours names; `unit` is from our own meta().
  return z.toJSONSchema(configSchema, { io: 'input' }) as SchemaNode;
}

/** The schema for editors: standard keywords only. */
export function editorSchema(): unknown {
  const made = z.toJSONSchema(configSchema, {
    io: 'input',
    override: ({ jsonSchema }) => {
      delete jsonSchema.unit;
      const { type, minimum, maximum } = jsonSchema;
      if (type !== 'integer' && type !== 'boolean') return;
      delete jsonSchema.type;
      delete jsonSchema.minimum;
      delete jsonSchema.maximum;
      const range = {
        ...(minimum === undefined ? {} : { minimum }),
        ...(maximum === undefined ? {} : { maximum }),
      };
      jsonSchema.anyOf = [
        { type, ...range },
        { type: 'string', pattern: '^\\$\\{[^{}]+\\}$' },
      ];
    },
  });
  return {
    ...made,
    title: 'Sluice configuration',
    description: 'Configuration of Sluice, an edge gateway for the Model Context Protocol.',
  };
}
