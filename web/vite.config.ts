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

/** The daemon serves requests without credentials only if they are for its own address. */
function proxy() {
  const target = process.env["MOSAICO_URL"];
  return target ? { "^/(api|sequences)/": { target, changeOrigin: true } } : undefined;
}
