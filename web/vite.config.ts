import preact from "@preact/preset-vite";
import { defineConfig } from "vitest/config";
import { fakeApi } from "./tests/fake/plugin.ts";

export default defineConfig({
  // Relative, so that the page also works below the prefix of a proxy.
  base: "./",
  // `dev` and `preview` answer the API with generated data, unless MOSAICO_URL names a daemon.
  plugins: [preact(), fakeApi()],
  // The Content-Security-Policy of the daemon has no `data:` scripts, and a style is always a file.
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false }, sourcemap: false },
  server: { proxy: proxy() },
  preview: { proxy: proxy() },
  test: { include: ["tests/unit/**/*.test.ts"], environment: "node" },
});

function proxy(): Record<string, string> | undefined {
  const daemon = process.env["MOSAICO_URL"];
  return daemon ? { "/api": daemon } : undefined;
}
