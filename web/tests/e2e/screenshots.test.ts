/** The pictures of docs/page.md. `npm run e2e -- --update-snapshots=all screenshots` draws them again. */

import { expect, openFlight, test } from "./page.ts";

const NOW = new Date("2026-12-01T09:00:00Z");

test("the list", async ({ page }) => {
  await page.clock.setFixedTime(NOW);
  await page.setViewportSize({ width: 1180, height: 560 });
  await page.goto("/#/?q=sequence.user_metadata.site+%3D%3D+%22turin%22");
  await expect(page.locator(".rows .row").first()).toContainText("flight-042");
  await expect(page.locator(".sparkline path")).toHaveCount(await page.locator(".rows .row").count());
  await expect(page).toHaveScreenshot("page-list.png");
});

for (const scheme of ["dark", "light"] as const) {
  test(`a sequence, ${scheme}`, async ({ page }) => {
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize({ width: 1120, height: 690 });
    await openFlight(page, "?t=1796025648000000000");
    await expect(page.getByRole("img", { name: "Frame of camera/front" })).toHaveAttribute("data-time", "48000000000");
    await expect(page.getByRole("img", { name: "Frame of camera/rear" })).toHaveAttribute("data-time", "48000000000");
    await expect(page.locator(".legend-item output").filter({ hasText: /^$/ })).toHaveCount(0);
    await expect(page.locator(".log-line[aria-current=true]")).toBeAttached();
    await expect(page).toHaveScreenshot(`page-sequence-${scheme}.png`);
  });
}
