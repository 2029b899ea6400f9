/** The types of the wire's messages, made from the descriptions that the server serves. */

import openapiTS, { astToString } from 'openapi-typescript';

const HEAD = `/**
 * The messages of the wire, made from the server's /openapi.json and /asyncapi.json by \`npm run types\`. Not written by hand:
 * \`npm run e2e\` fails while this file and the server's descriptions differ.
 */

`;

/** Each message as a type of its own name; `openapi` and `asyncapi` are the two documents. */
export async function generate(openapi, asyncapi) {
  const schemas = { ...asyncapi.components.schemas, ...openapi.components.schemas };
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

/** Further fields may come, but no program should read them by a name that nobody promised. */
function closed(schema) {
  if (Array.isArray(schema)) return schema.map(closed);
  if (schema === null || typeof schema !== 'object') return schema;
  const kept = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]));
  if (kept.additionalProperties === true && kept.properties) delete kept.additionalProperties;
  return kept;
}
