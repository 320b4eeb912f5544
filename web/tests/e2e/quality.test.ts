/** What the page promises as a whole: usable without a mouse and without eyes, small, strict. */

import { readdir, readFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import AxeBuilder from "@axe-core/playwright";
import { expect, openFlight, test } from "./page.ts";

const MOST_BYTES = 200_000;

for (const scheme of ["dark", "light"] as const) {
  test(`no fault of accessibility, ${scheme}`, async ({ page }) => {
    test.slow();
    await page.emulateMedia({ colorScheme: scheme });
    await page.goto("/");
    await expect(page.locator(".rows .row").first()).toBeVisible();
    const list = await new AxeBuilder({ page }).analyze();
    expect(list.violations.map(({ id, nodes }) => [id, nodes[0]!.html])).toEqual([]);
    await openFlight(page);
    await expect(page.locator(".log-line").first()).toBeAttached();
    await page.locator(".lane-name").first().click();
    const sequence = await new AxeBuilder({ page }).exclude(".log-line:nth-child(n + 4)").analyze();
    expect(sequence.violations.map(({ id, nodes }) => [id, nodes[0]!.html])).toEqual([]);
  });
}

test("everything together is small", async () => {
  const folder = new URL("../../dist/assets/", import.meta.url);
  const files = (await readdir(folder)).filter((file) => /\.(?:js|css)$/.test(file));
  const sizes = await Promise.all(files.map(async (file) => gzipSync(await readFile(new URL(file, folder))).length));
  expect(sizes.reduce((sum, size) => sum + size)).toBeLessThan(MOST_BYTES);
});

test("the policy of the daemon allows no inline script or style", async ({ page }) => {
  const response = (await page.goto("/"))!;
  const policy = response.headers()["content-security-policy"]!;
  expect(policy).toContain("script-src 'self'");
  expect(policy).not.toContain("unsafe");
  const html = await response.text();
  expect(html).not.toMatch(/<style|style=|<script>|\son\w+=/);
});
