import { readFile } from "node:fs/promises";
import { cursorOf, expect, inkOf, openFlight, test } from "./page.ts";

test("a plot zooms to single samples, and hides and shows its fields", async ({ page }) => {
  await openFlight(page, "?p=plot!imu!acceleration.x!acceleration.z");
  const area = page.locator(".plot-area");
  const canvas = ".plot-area canvas";
  await expect.poll(async () => (await inkOf(page, canvas)).share).toBeGreaterThan(0.01);
  const all = await inkOf(page, canvas);
  await page.locator(".legend-item").last().click();
  expect((await inkOf(page, canvas)).sum).not.toBe(all.sum);
  const box = (await area.boundingBox())!;
  await page.mouse.move(box.x + box.width / 2, box.y + 60);
  const exact = page.waitForResponse(async (response) => {
    if (!response.url().includes("/series?")) return false;
    const query = new URL(response.url()).searchParams;
    return BigInt(query.get("to")!) - BigInt(query.get("from")!) < 2_000_000_000n;
  });
  for (let turn = 0; turn < 10; turn += 1) await page.mouse.wheel(0, -240);
  await exact;
  await expect(page.getByText("Show all")).toBeVisible();
  await page.mouse.dblclick(box.x + box.width / 2, box.y + 60);
  await expect(page.getByText("Show all")).toBeHidden();
});

test("the spike of one message in 24 000 is on the plot", async ({ page }) => {
  await openFlight(page, "?p=plot!imu!acceleration.z");
  await expect(async () => {
    // 41.7 at 70.615 s: ink near the top there, and not beside it.
    const drawn = await page.locator(".plot-area canvas").evaluate((element) => {
      const canvas = element as HTMLCanvasElement;
      const at = Math.round(54 + (70.615 / 120) * (canvas.width - 54));
      const { data, width } = canvas.getContext("2d")!.getImageData(at - 12, 20, 24, 30);
      const columns = new Set<number>();
      for (let index = 0; index < data.length; index += 4) {
        if (data[index + 1]! > 150) columns.add((index / 4) % width);
      }
      return columns.size;
    });
    expect(drawn).toBeGreaterThan(0);
    expect(drawn).toBeLessThan(8);
  }).toPass();
});

test("fields are added to a plot and taken away", async ({ page }) => {
  await openFlight(page, "?p=plot!imu!acceleration.x");
  await page.locator(".lane-name", { hasText: "imu" }).click();
  const chip = page.locator(".field", { hasText: "angular_velocity.z" });
  await chip.click();
  await expect(page.locator(".legend-item")).toHaveCount(2);
  await expect(chip).toHaveAttribute("aria-pressed", "true");
  await expect(page).toHaveURL(/angular_velocity\.z/);
  await chip.click();
  await expect(page.locator(".legend-item")).toHaveCount(1);
  await page.getByRole("button", { name: "Show gps as" }).click();
  await page.getByRole("menuitem", { name: "Map" }).click();
  await expect(page.getByRole("region", { name: "Map: gps" })).toBeVisible();
});

test("camera frames follow the cursor", async ({ page }) => {
  await openFlight(page, "?p=image!camera%2Ffront");
  const frame = page.getByRole("img", { name: "Frame of camera/front" });
  await expect(page.getByText("No frame at or before the cursor.")).toBeVisible(); // the camera starts later
  await page.keyboard.press("ArrowRight");
  await expect(frame).toHaveAttribute("data-time", "1100000000");
  const first = await inkOf(page, ".picture canvas");
  expect(first.share).toBe(1);
  await page.keyboard.press("End");
  await expect(frame).toHaveAttribute("data-time", "119900000000");
  expect((await inkOf(page, ".picture canvas")).sum).not.toBe(first.sum);
  await page.keyboard.press("Home");
  const shown = new Set<string | null>();
  await page.keyboard.press("Space");
  await expect(async () => {
    shown.add(await frame.getAttribute("data-time"));
    expect(shown.size).toBeGreaterThan(5);
  }).toPass({ intervals: [40] });
});

test("a video is decoded from the key frame before the cursor", async ({ page }) => {
  await openFlight(page, "?p=image!camera%2Frear&t=1796025605900000000");
  const frame = page.getByRole("img", { name: "Frame of camera/rear" });
  await expect(frame).toHaveAttribute("data-time", "5900000000");
  // The square of frame 59 is at 78 of 160 px; its key frame, 40, has it at 53.
  const place = () =>
    frame.evaluate((element) => {
      const canvas = element as HTMLCanvasElement;
      const { data } = canvas.getContext("2d")!.getImageData(0, 48, canvas.width, 1);
      const bright = Array.from({ length: canvas.width }, (_, x) => x).filter((x) => data[4 * x]! > 190);
      return bright.reduce((sum, x) => sum + x, 0) / bright.length;
    });
  expect(Math.abs((await place()) - 78)).toBeLessThan(3);
  await page.keyboard.press("Home");
  await expect(frame).toHaveAttribute("data-time", "0");
  await page.keyboard.press("Space");
  const shown = new Set<number>();
  await expect(async () => {
    shown.add(Number(await frame.getAttribute("data-time")));
    expect(shown.size).toBeGreaterThan(8);
  }).toPass({ intervals: [40] });
  expect([...shown]).toEqual([...shown].sort((a, b) => a - b));
});

test("the message at the cursor is complete, with all digits", async ({ page }) => {
  await openFlight(page, "?p=message!battery");
  const message = page.getByRole("region", { name: "Message of battery" });
  await expect(message).toContainText("5200000000000000123");
  await page.keyboard.press("End");
  await expect(message).toContainText("01:59.000000000");
});

test("the map shows the track, and a click on it seeks", async ({ page }) => {
  await openFlight(page, "?p=map!gps");
  await expect.poll(async () => (await inkOf(page, ".map canvas")).share).toBeGreaterThan(0.01);
  const rightmost = await page.locator(".map canvas").evaluate((element) => {
    const canvas = element as HTMLCanvasElement;
    const { data, width } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
    let found = { x: 0, y: 0 };
    for (let index = 0; index < data.length; index += 4) {
      const x = (index / 4) % width;
      const blue = data[index + 2]! > 200 && data[index]! < 120;
      if (blue && x > found.x) found = { x, y: Math.floor(index / 4 / width) };
    }
    return found;
  });
  await page.locator(".map").click({ position: rightmost });
  // The robot is at 40 m * sin(s / 19): farthest in the east at 29.8 s.
  await expect.poll(async () => (await cursorOf(page)) / 1e9).toBeCloseTo(29.8, -1);
});

test("3-D shows paths and points", async ({ page }) => {
  await openFlight(page, "?p=scene!pose&p=scene!lidar%2Fpoints");
  const scenes = page.locator(".scene canvas");
  await expect(scenes).toHaveCount(2);
  await expect(async () => {
    const colors = await scenes.last().evaluate((element) => {
      const canvas = element as HTMLCanvasElement;
      const copy = document.createElement("canvas");
      [copy.width, copy.height] = [canvas.width, canvas.height];
      const context = copy.getContext("2d")!;
      context.drawImage(canvas, 0, 0);
      const { data } = context.getImageData(0, 0, copy.width, copy.height);
      let vivid = 0;
      for (let index = 0; index < data.length; index += 4) {
        const [r, g, b] = [data[index]!, data[index + 1]!, data[index + 2]!];
        if (Math.max(r, g, b) - Math.min(r, g, b) > 90) vivid += 1;
      }
      return vivid;
    });
    expect(colors).toBeGreaterThan(500);
  }).toPass();
});

test("states are bands, logs a table that seeks", async ({ page }) => {
  await openFlight(page, "?p=bands!status%2Farmed!data!!status%2Fmode!code&p=log!log");
  await page.keyboard.press("End");
  await expect(page.locator(".band-label").first()).toContainText("false");
  await expect(page.locator(".band-label").nth(1)).toContainText("5");
  const lines = page.locator(".log-line");
  await expect(lines).toHaveCount(360);
  await lines.nth(3).click();
  expect(await cursorOf(page)).toBe(1_000_000_000);
  await expect(lines.nth(3)).toHaveAttribute("aria-current", "true");
  await page.getByRole("searchbox", { name: "Filter the log" }).fill("error");
  await expect.poll(() => lines.count()).toBeLessThan(120);
});

test("what is shown is saved as CSV and PNG", async ({ page }) => {
  await openFlight(page, "?p=plot!battery!voltage!current");
  await expect.poll(async () => (await inkOf(page, ".plot-area canvas")).share).toBeGreaterThan(0.005);
  const saveAs = async (name: string) => {
    await page.getByRole("region", { name: "Plot: battery" }).getByRole("button", { name: "More" }).click();
    const download = page.waitForEvent("download");
    await page.getByRole("menuitem", { name }).click();
    return readFile(await (await download).path());
  };
  const lines = (await saveAs("Save as CSV")).toString().trim().split("\n");
  expect(lines).toHaveLength(120 + 1);
  expect(lines[0]).toBe("timestamp_ns,voltage,current");
  expect(lines[2]).toMatch(/^1796025601000000000,16\.\d+,12\.59/);
  expect((await saveAs("Save as PNG")).subarray(1, 4).toString()).toBe("PNG");
});

test("panels move, widen and disappear", async ({ page }) => {
  await openFlight(page, "?p=message!gps&p=message!pose");
  const panels = page.locator(".panel h2");
  await page.getByRole("region", { name: "Message: pose" }).getByRole("button", { name: "More" }).click();
  await page.getByRole("menuitem", { name: "Move forward" }).click();
  await expect(panels).toHaveText(["pose", "gps"]);
  await page.locator(".panel header").first().dragTo(page.locator(".panel").last());
  await expect(panels).toHaveText(["gps", "pose"]);
  await page.getByRole("region", { name: "Message: pose" }).getByRole("button", { name: "Full width" }).click();
  await expect(page.locator(".panel.wide")).toHaveCount(1);
  await expect(page).toHaveURL(/p=message\*/);
  for (const name of ["gps", "pose"]) {
    await page
      .getByRole("region", { name: `Message: ${name}` })
      .getByRole("button", { name: "Remove" })
      .click();
  }
  await expect(page.getByText("No panels.")).toBeVisible();
});
