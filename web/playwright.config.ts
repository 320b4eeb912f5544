import { defineConfig } from "@playwright/test";

const PORT = 4179;

/** Debian's Chromium; a machine with another one names it. */
const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";

export default defineConfig({
  testDir: "tests/e2e",
  outputDir: "test-results",
  timeout: 20_000,
  expect: { timeout: 6000, toHaveScreenshot: { maxDiffPixelRatio: 0.06 } },
  // The pictures of the documentation are what the page has to look like; other fonts may differ a little.
  snapshotPathTemplate: "../docs/images/{arg}{ext}",
  fullyParallel: true,
  workers: 2,
  forbidOnly: Boolean(process.env["CI"]),
  reporter: "line",
  use: {
    baseURL: `http://127.0.0.1:${PORT}`,
    viewport: { width: 1440, height: 900 },
    colorScheme: "dark",
    timezoneId: "Europe/Rome",
    locale: "en-GB",
    launchOptions: {
      executablePath,
      args: [
        "--no-sandbox",
        "--disable-gpu-compositing",
        "--disable-accelerated-2d-canvas",
        "--enable-unsafe-swiftshader",
      ],
    },
  },
  webServer: {
    command: `npx vite preview --port ${PORT} --strictPort --host 127.0.0.1 --bypass-lock`,
    url: `http://127.0.0.1:${PORT}/api/v1/info`,
    reuseExistingServer: !process.env["CI"],
  },
});
