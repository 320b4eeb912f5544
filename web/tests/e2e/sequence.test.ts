import { START } from "../fake/store.ts";
import { cursorOf, expect, inkOf, openFlight, test } from "./page.ts";

test("topics have their facts, and lanes their rows and gaps", async ({ page }) => {
  await openFlight(page);
  const imu = page.locator(".lane-row").first();
  await expect(imu).toContainText("200 Hz");
  await expect(imu).toContainText("23.1 k");
  await expect(async () => {
    const columns = await imu.locator("canvas").evaluate((canvas: HTMLCanvasElement) => {
      const middle = Math.floor(canvas.height / 2);
      const { data } = canvas.getContext("2d")!.getImageData(0, middle, canvas.width, 1);
      return Array.from(
        { length: 120 },
        (_, second) => data[4 * Math.floor(((second + 0.5) / 120) * canvas.width) + 3]! > 0,
      );
    });
    expect(columns.flatMap((drawn, second) => (drawn ? [] : [second]))).toEqual([37, 38, 39, 40]);
  }).toPass();
});

test("plays at the chosen speed, and stops at the end", async ({ page }) => {
  await openFlight(page);
  await page.getByRole("combobox", { name: "Speed" }).selectOption("50");
  const started = Date.now();
  await page.getByRole("button", { name: "Play" }).click();
  await expect.poll(() => cursorOf(page)).toBeGreaterThan(5e9);
  await page.getByRole("button", { name: "Pause" }).click();
  const seconds = (Date.now() - started) / 1000;
  expect((await cursorOf(page)) / 1e9).toBeLessThan(50 * seconds);
  await page.getByRole("combobox", { name: "Speed" }).selectOption("100");
  await page.locator("main").click({ position: { x: 2, y: 2 } });
  await page.keyboard.press("Space");
  await expect(page.getByRole("button", { name: "Play" })).toBeVisible();
  expect(await cursorOf(page)).toBe(119_995_000_001);
});

test("keys step, zoom and jump", async ({ page }) => {
  await openFlight(page);
  await page.keyboard.press("End");
  expect(await cursorOf(page)).toBe(119_995_000_001);
  await page.keyboard.press("Home");
  expect(await cursorOf(page)).toBe(0);
  await page.keyboard.press(".");
  await expect.poll(() => cursorOf(page)).toBe(5_000_000); // the next message of the IMU at 200 Hz
  await page.keyboard.press(",");
  await expect.poll(() => cursorOf(page)).toBe(0);
  await page.keyboard.press("ArrowRight");
  expect(await cursorOf(page)).toBe(1_199_950_000);
  await page.keyboard.press("+");
  await expect(page.getByText("Show all")).toBeVisible();
  await page.keyboard.press("0");
  await expect(page.getByText("Show all")).toBeHidden();
  await page.keyboard.press("?");
  await expect(page.getByRole("dialog", { name: "Keys" })).toBeVisible();
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
  await expect(page.getByRole("grid", { name: "Sequences" })).toBeVisible();
});

test("a link restores window, cursor and panels", async ({ page, context }) => {
  await openFlight(page);
  await page.locator(".panel", { hasText: "log" }).last().getByRole("button", { name: "Remove" }).click();
  const ruler = page.locator(".ruler");
  const box = (await ruler.boundingBox())!;
  await page.mouse.move(box.x + box.width / 2, box.y + 10);
  await page.mouse.wheel(0, -400);
  await page.mouse.click(box.x + box.width / 2, box.y + 10);
  const cursor = await cursorOf(page);
  await expect(page).toHaveURL(new RegExp(`t=${START + BigInt(cursor)}&w=\\d+%7E\\d+`));
  const other = await context.newPage();
  await other.goto(page.url());
  await expect(other.locator(".panel").first()).toBeVisible();
  expect(await cursorOf(other)).toBe(cursor);
  await expect(other.getByText("Show all")).toBeVisible();
  await expect(other.locator(".panel")).toHaveCount(await page.locator(".panel").count());
  await expect(other.getByRole("region", { name: "Log: log" })).toHaveCount(0);
});

test("a drag on the ruler scrubs, on a lane it pans", async ({ page }) => {
  await openFlight(page);
  const ruler = (await page.locator(".ruler").boundingBox())!;
  await page.mouse.move(ruler.x + 100, ruler.y + 10);
  await page.mouse.down();
  await page.mouse.move(ruler.x + ruler.width * 0.75, ruler.y + 10, { steps: 4 });
  await page.mouse.up();
  await expect.poll(async () => (await cursorOf(page)) / 120e9).toBeCloseTo(0.75, 1);
  await page.keyboard.press("+");
  const before = page.url();
  const lane = (await page.locator(".lane-canvas").first().boundingBox())!;
  await page.mouse.move(lane.x + 400, lane.y + 8);
  await page.mouse.down();
  await page.mouse.move(lane.x + 300, lane.y + 8, { steps: 4 });
  await page.mouse.up();
  await expect.poll(() => page.url()).not.toBe(before);
});

test("a recording in progress is followed", async ({ page }) => {
  await page.goto("/#/s/live%2Fsurvey-7?follow=1");
  const follow = page.getByRole("button", { name: "Follow" });
  await expect(follow).toHaveAttribute("aria-pressed", "true");
  const before = await cursorOf(page);
  await expect.poll(() => cursorOf(page)).toBeGreaterThan(before + 1e9);
  const pictures = new Set<number>();
  await expect(async () => {
    pictures.add((await inkOf(page, ".panel:has-text('acceleration') canvas")).sum);
    expect(pictures.size).toBeGreaterThan(4);
  }).toPass();
  await page.keyboard.press("Home");
  await expect(follow).toHaveAttribute("aria-pressed", "false");
});

test("details have times and metadata", async ({ page }) => {
  await openFlight(page);
  await page.getByRole("button", { name: "Details and metadata" }).click();
  const details = page.getByRole("dialog", { name: "flight-042" });
  await expect(details).toContainText("M. Rossi");
  await expect(details).toContainText("2026-11-30 09:01:59.995000000");
});

test("code of the view is copied", async ({ page, context }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await openFlight(page, "?p=plot!imu!acceleration.x");
  await page.getByRole("button", { name: "Share and copy" }).click();
  await page.getByRole("menuitem", { name: "Copy as Python" }).click();
  await expect(page.getByRole("status").filter({ hasText: "Python copied" })).toBeVisible();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toContain('get_topic_handler("imu").to_arrow()');
});
