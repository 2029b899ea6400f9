/** One of the server's two descriptions. */
export interface Description {
  info: { title: string; version: string };
  components: { schemas: Record<string, unknown> };
}

export function generate(openapi: Description, asyncapi: Description): Promise<string>;
