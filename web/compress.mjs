// Compresses the files of dist/ once, so that the daemon sends them as they are.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const dist = join(import.meta.dirname, "dist");
const text = /\.(html|js|mjs|css|json|svg|webmanifest)$/;

for (const name of readdirSync(dist, { recursive: true })) {
  if (!text.test(name)) continue;
  const path = join(dist, name);
  const content = readFileSync(path);
  writeFileSync(`${path}.br`, brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }));
  writeFileSync(`${path}.gz`, gzipSync(content, { level: 9 }));
}
