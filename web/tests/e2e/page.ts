/** A test that fails when the page logs an error, violates its policy, or calls another host. */

import { test as base, expect, type Page } from "@playwright/test";

export const test = base.extend<{ quiet: undefined }>({
  quiet: [
    async ({ page, baseURL }, use) => {
      const faults: string[] = [];
      page.on("pageerror", (error) => faults.push(`${error.stack}`));
      page.on("console", (message) => {
        // The browser notes each answer that is no success; the page asks for frames before the first one, and with a key
        // after it was refused.
        const missing = message.location().url.includes("/frame?") && message.text().includes("404");
        const expected = missing || message.text().includes("403");
        if (message.type() === "error" && !expected) faults.push(message.text());
      });
      page.on("request", (request) => {
        const url = request.url();
        if (!url.startsWith(baseURL!) && !/^(?:blob|data):/.test(url)) faults.push(`calls ${url}`);
      });
      await use(undefined);
      expect(faults).toEqual([]);
    },
    { auto: true },
  ],
});

export { expect };

export async function openFlight(page: Page, query = ""): Promise<void> {
  await page.goto(`/#/s/flight-042${query}`);
  await expect(page.getByRole("heading", { name: "flight-042" })).toBeVisible();
  await expect(page.locator(".lane-row")).toHaveCount(10);
}

/** The cursor, nanoseconds after the first message. */
export async function cursorOf(page: Page): Promise<number> {
  return Number(await page.getByRole("slider", { name: "Time", exact: true }).getAttribute("aria-valuenow"));
}

/** Shares of the pixels of a canvas that are drawn, and a sum that changes with the picture. */
export async function inkOf(page: Page, selector: string): Promise<{ share: number; sum: number }> {
  return page.locator(selector).evaluate((canvas: HTMLCanvasElement) => {
    const copy = document.createElement("canvas");
    copy.width = canvas.width;
    copy.height = canvas.height;
    const context = copy.getContext("2d")!;
    context.drawImage(canvas, 0, 0);
    const { data } = context.getImageData(0, 0, copy.width, copy.height);
    let drawn = 0;
    let sum = 0;
    for (let index = 0; index < data.length; index += 4) {
      if (data[index + 3]! > 0) drawn += 1;
      sum = (sum * 31 + data[index]! * 3 + data[index + 1]! * 5 + data[index + 2]! * 7) % 1_000_003;
    }
    return { share: drawn / (data.length / 4), sum };
  });
}
