/** One of the server's two descriptions. */
export interface Description {
  info: { title: string; version: string };
  paths?: Record<string, unknown>;
  components: { schemas: Record<string, unknown> };
}

export function generate(openapi: Description, asyncapi: Description): Promise<string>;
