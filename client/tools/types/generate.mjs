/** The types of the wire's messages, made from the descriptions that the server serves. */

import { isDeepStrictEqual } from 'node:util';
import openapiTS, { astToString } from 'openapi-typescript';

const HEAD = `/**
 * The messages of the wire, made from the server's /openapi.json and /asyncapi.json by \`npm run types\`. Not written by hand:
 * \`npm run e2e\` fails while this file and the server's descriptions differ.
 */

`;

/**
 * Each message, and each choice of a query parameter, as a type of its own name. The two documents are joined: a shape
 * that both have is one type. Throws where they define one name differently.
 */
export async function generate(openapi, asyncapi) {
  const schemas = { ...choices(openapi), ...joined(asyncapi.components.schemas, openapi.components.schemas) };
  const named = Object.fromEntries(Object.entries(schemas).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, schema]) => [name, closed(schema)]));
  const document = { openapi: '3.1.0', info: openapi.info, paths: {}, components: { schemas: named } };
  const nodes = await openapiTS(document, {
    alphabetize: false,
    defaultNonNullable: false,
    rootTypes: true,
    rootTypesNoSchemaPrefix: true,
  });
  return HEAD + astToString(nodes);
}

function joined(one, other) {
  for (const name of Object.keys(one).filter((name) => name in other)) {
    if (!isDeepStrictEqual(one[name], other[name])) throw new Error(`the two descriptions define ${name} differently`);
  }
  return { ...one, ...other };
}

/** Parameters that take one of several words, by their name with a capital: `Period`, `Resolution`. */
function choices(openapi) {
  const operations = Object.values(openapi.paths).flatMap((path) => Object.values(path));
  const parameters = operations.flatMap(({ parameters = [] }) => parameters).filter(({ schema }) => schema.enum !== undefined);
  return Object.fromEntries(
    parameters.map(({ name, description, schema }) => [name[0].toUpperCase() + name.slice(1), { type: schema.type, enum: schema.enum, description }]),
  );
}

/** A server may send further fields, but a program can read only those that are described. */
function closed(schema) {
  if (Array.isArray(schema)) return schema.map(closed);
  if (schema === null || typeof schema !== 'object') return schema;
  const kept = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]));
  if (kept.additionalProperties === true && kept.properties) delete kept.additionalProperties;
  return kept;
}
