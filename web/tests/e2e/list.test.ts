import { expect, test } from "./page.ts";

test.beforeEach(async ({ page }) => {
  await page.goto("/");
  await expect(page.locator(".count")).toContainText("10\u202f000 sequences");
});

test("10 000 sequences scroll, and only those in sight are in the document", async ({ page }) => {
  const table = page.getByRole("grid", { name: "Sequences" });
  await expect(table).toHaveAttribute("aria-rowcount", "10001");
  await expect(async () => {
    await table.evaluate((element) => element.scrollTo(0, element.scrollHeight));
    expect(await page.locator(".rows .row").last().getAttribute("aria-rowindex")).toBe("10001");
  }).toPass({ intervals: [20] });
  expect(await page.locator(".rows .row").count()).toBeLessThan(60);
});

test("a part of a name finds, and the link keeps it", async ({ page }) => {
  await page.getByRole("combobox").fill("flight");
  await expect(page.locator(".rows .row")).toHaveCount(1);
  await expect(page).toHaveURL(/#\/\?q=flight/);
  await page.reload();
  await expect(page.getByRole("combobox")).toHaveValue("flight");
  await expect(page.locator(".rows .row")).toHaveCount(1);
});

test("a condition is completed by the keyboard and sent as a query", async ({ page }) => {
  const search = page.getByRole("combobox");
  await page.keyboard.press("/");
  await expect(search).toBeFocused();
  await page.keyboard.type("pil");
  await expect(page.getByRole("option", { name: "sequence.user_metadata.pilot" })).toBeVisible();
  await page.keyboard.press("Tab");
  await page.keyboard.type("== M");
  await page.keyboard.press("Tab");
  await expect(search).toHaveValue('sequence.user_metadata.pilot == "M. Rossi" ');
  const request = page.waitForRequest((sent) => sent.url().includes("where="));
  await page.keyboard.press("Enter");
  const where = new URL((await request).url()).searchParams.get("where");
  expect(JSON.parse(where!)).toEqual({ sequence: { user_metadata: { pilot: { $eq: "M. Rossi" } } } });
  await expect(page.locator(".rows .row")).toHaveCount(1);
});

test("a click on metadata narrows the list", async ({ page }) => {
  await page.locator(".rows .row").nth(1).getByRole("button", { name: "pilot M. Rossi" }).click();
  await expect(page.getByRole("combobox")).toHaveValue('sequence.user_metadata.pilot == "M. Rossi"');
  await expect(page.locator(".rows .row")).toHaveCount(1);
});

test("a condition that cannot be read says where", async ({ page }) => {
  await page.getByRole("combobox").fill("imu.x > north");
  await expect(page.locator("#find-problem")).toContainText("put text in quotes (at “north”)");
});

test("columns sort, states filter", async ({ page }) => {
  await page.getByRole("button", { name: "Name" }).click();
  await expect(page.locator(".rows .row").first()).toContainText("ariel/run-");
  await expect(page.getByRole("columnheader", { name: "Name" })).toHaveAttribute("aria-sort", "ascending");
  await page.getByRole("button", { name: "interrupted" }).click();
  await expect(page.locator(".count")).not.toContainText("10\u202f000");
  await expect(page.locator(".rows .row").first()).toContainText("interrupted");
  await page.getByRole("combobox").fill("no such recording");
  await expect(page.getByText("No sequence matches")).toBeVisible();
});

test("a recording in progress grows without a reload", async ({ page }) => {
  const rows = page.locator(".rows .row").first().locator(".cell.rows");
  await expect(rows).toBeVisible();
  const before = await rows.textContent();
  await expect(rows).not.toHaveText(before!);
  await expect(page.locator(".live")).toHaveText("live");
});

test("arrows choose a sequence and Enter opens it", async ({ page }) => {
  await page.getByRole("grid").focus();
  await page.keyboard.press("ArrowDown");
  await expect(page.locator(".row.active")).toContainText("flight-042");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { name: "flight-042" })).toBeVisible();
  await page.goBack();
  await expect(page.getByRole("grid", { name: "Sequences" })).toBeVisible();
});

test("mini time lines appear", async ({ page }) => {
  await expect(page.locator(".sparkline path").first()).toHaveAttribute("d", /M0 18v/);
});

test("on a phone a row keeps its name, time line and duration", async ({ page }) => {
  await page.setViewportSize({ width: 390, height: 800 });
  const row = page.locator(".rows .row").nth(1);
  await expect(row.locator(".title")).toBeVisible();
  await expect(row.locator(".duration")).toBeVisible();
  await expect(row.locator(".bytes")).toBeHidden();
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect(overflow).toBeLessThanOrEqual(0);
});

test("a daemon that wants a key gets one", async ({ page }) => {
  await page.route("**/api/v1/**", (route) => {
    if (route.request().headers()["authorization"] === "Bearer secret") return route.continue();
    return route.fulfill({ status: 403, json: { error: { code: "forbidden", message: "no valid credentials" } } });
  });
  await page.reload();
  await page.getByLabel("Key", { exact: true }).fill("secret");
  await page.getByRole("button", { name: "Use the key" }).click();
  await expect(page.locator(".count")).toContainText("10\u202f000 sequences");
  await expect(page.locator(".live")).toHaveText("live");
  await expect(page.getByRole("dialog")).toHaveCount(0);
});
