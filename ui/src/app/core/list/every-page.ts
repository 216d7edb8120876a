import { Api, Page, Query } from '../api/api';

/** Reads a list to its end, page by page; for lists that people look through as a whole. */
export async function everyPage<T>(api: Api, path: string, query: Query = {}): Promise<T[]> {
  const all: T[] = [];
  let after: string | null = null;
  do {
    const page: Page<T> = await api.get<Page<T>>(path, { query: { ...query, limit: 200, after } });
    all.push(...page.items);
    after = page.next ?? null;
  } while (after);
  return all;
}
