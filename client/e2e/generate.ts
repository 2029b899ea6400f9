/** TypeScript for the schemas of the server's descriptions: one interface or type a schema, in the order of their names. */

export interface Schema {
  $ref?: string;
  type?: string;
  description?: string;
  enum?: readonly unknown[];
  const?: unknown;
  anyOf?: readonly Schema[];
  oneOf?: readonly Schema[];
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: readonly string[];
  additionalProperties?: boolean | Schema;
}

export interface Description {
  components?: { schemas?: Record<string, Schema> };
}

const HEAD = `/**
 * The messages of the wire, made from the server's /openapi.json and /asyncapi.json by \`npm run types\`. Not written by hand:
 * \`npm run e2e\` fails while this file and the server's descriptions differ.
 */
`;

export function generate(...descriptions: readonly Description[]): string {
  const schemas = new Map(descriptions.flatMap(({ components }) => Object.entries(components?.schemas ?? {})));
  const names = [...schemas.keys()].sort();
  return [HEAD, ...names.map((name) => declaration(name, schemas.get(name) ?? {}))].join('\n');
}

function declaration(name: string, schema: Schema): string {
  const comment = note(schema.description, '');
  if (schema.properties === undefined) return `${comment}export type ${name} = ${typeOf(schema)};\n`;
  return `${comment}export interface ${name} {\n${fields(schema, '  ')}}\n`;
}

function fields({ properties = {}, required = [] }: Schema, indent: string): string {
  return Object.entries(properties)
    .map(([key, schema]) => `${note(schema.description, indent)}${indent}${quoted(key)}${required.includes(key) ? '' : '?'}: ${typeOf(schema, indent)};\n`)
    .join('');
}

function typeOf(schema: Schema, indent = ''): string {
  if (schema.$ref !== undefined) return schema.$ref.replace(/^.*\//, '');
  if (schema.const !== undefined) return literal(schema.const);
  if (schema.enum !== undefined) return schema.enum.map(literal).join(' | ');
  const either = schema.anyOf ?? schema.oneOf;
  if (either !== undefined) return [...new Set(either.map((one) => typeOf(one, indent)))].join(' | ');
  switch (schema.type) {
    case 'integer':
    case 'number':
      return 'number';
    case 'string':
    case 'boolean':
    case 'null':
      return schema.type;
    case 'array': {
      const item = typeOf(schema.items ?? {}, indent);
      return item.includes(' ') ? `(${item})[]` : `${item}[]`;
    }
    case 'object':
      if (schema.properties !== undefined) return `{\n${fields(schema, `${indent}  `)}${indent}}`;
      return `Record<string, ${typeof schema.additionalProperties === 'object' ? typeOf(schema.additionalProperties, indent) : 'unknown'}>`;
    default:
      return 'unknown';
  }
}

function note(text: string | undefined, indent: string): string {
  return text === undefined ? '' : `${indent}/** ${text.trim().replaceAll(/\s*\n\s*/g, ' ').replaceAll('*/', '*\\/')} */\n`;
}

function literal(value: unknown): string {
  return typeof value === 'string' ? `'${value.replaceAll("'", "\\'")}'` : JSON.stringify(value);
}

function quoted(key: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(key) ? key : literal(key);
}
