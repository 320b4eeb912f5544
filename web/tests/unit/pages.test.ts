import { beforeEach, expect, test, vi } from "vitest";
import { parseJson } from "../../src/api/json.ts";
import type { SequencePage } from "../../src/api/types.ts";
import { type ListQuery, loadPage } from "../../src/list/pages.ts";
import { answer } from "../fake/routes.ts";
import { SEQUENCES } from "../fake/store.ts";

const QUERY: ListQuery = { search: "", where: null, states: [], sort: "name", order: "asc" };
const { signal } = new AbortController();
const limits: string[] = [];

beforeEach(() => {
  limits.length = 0;
  vi.stubGlobal("location", { search: "" });
  vi.stubGlobal("sessionStorage", { getItem: () => null });
  vi.stubGlobal("fetch", async (address: string) => {
    const url = new URL(address, "http://localhost/");
    limits.push(url.searchParams.get("limit")!);
    return new Response(answer("sequences", url.searchParams, "application/json").body as string);
  });
});

test("a page of all states is one call", async () => {
  const page = await loadPage(QUERY, null, 500, signal);
  expect([page.rows.length, page.total, limits]).toEqual([500, SEQUENCES.length, ["500"]]);
  const next = await loadPage(QUERY, page.cursor, 500, signal);
  expect(next.rows[0]!.name > page.rows.at(-1)!.name).toBe(true);
});

test("a rare state is looked for on all pages", async () => {
  const expected = SEQUENCES.filter(({ state }) => state === "interrupted").length;
  const page = await loadPage({ ...QUERY, states: ["interrupted"] }, null, 500, signal);
  expect(page.rows).toHaveLength(expected);
  expect(page.cursor).toBeNull();
  expect(limits).toHaveLength(10);
});

test("a frequent state stops once there are enough", async () => {
  const page = await loadPage({ ...QUERY, states: ["finalized"] }, null, 500, signal);
  expect(page.rows.length).toBeGreaterThanOrEqual(500);
  expect([page.total, limits]).toEqual([null, ["1000"]]);
});

test("the generated list is what the daemon would send", () => {
  const { body } = answer("sequences", new URLSearchParams({ limit: "1" }), "");
  expect((parseJson(body as string) as SequencePage).total).toBe(SEQUENCES.length);
});
