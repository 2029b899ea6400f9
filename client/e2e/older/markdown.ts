/** The programs that a Markdown document prints, by heading and language. */

export interface Fence {
  /** The text of the nearest heading above, without its number signs. */
  readonly heading: string;
  /** What stands behind the opening fence. */
  readonly language: string;
  readonly code: string;
}

/** A line that begins with `#` inside a fence is code and no heading. */
export function fences(markdown: string): Fence[] {
  const found: Fence[] = [];
  let heading = '';
  let open: { language: string; lines: string[] } | null = null;
  for (const line of markdown.split(/\r?\n/)) {
    const fence = /^\s*```(.*)$/.exec(line);
    if (fence !== null && open === null) open = { language: fence[1]?.trim() ?? '', lines: [] };
    else if (fence !== null && open !== null) {
      found.push({ heading, language: open.language, code: `${open.lines.join('\n')}\n` });
      open = null;
    } else if (open !== null) open.lines.push(line);
    else heading = /^#+\s+(.*?)\s*$/.exec(line)?.[1] ?? heading;
  }
  return found;
}
