/** Serves the generated data in `vite` and `vite preview`, with the headers of the daemon. */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Plugin } from "vite";
import { answer } from "./routes.ts";

const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; " +
  "worker-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

export function fakeApi(): Plugin {
  if (process.env["MOSAICO_URL"]) return { name: "no-fake-api" };
  return {
    name: "fake-api",
    configureServer: (server) => {
      server.middlewares.use(respond);
    },
    configurePreviewServer: (server) => {
      server.middlewares.use((request, response, next) => {
        response.setHeader("content-security-policy", CSP);
        respond(request, response, next);
      });
    },
  };
}

function respond(request: IncomingMessage, response: ServerResponse, next: () => void): void {
  const url = new URL(request.url ?? "/", "http://localhost");
  if (!url.pathname.startsWith("/api/v1/")) {
    next();
    return;
  }
  const path = url.pathname.slice("/api/v1/".length);
  if (path === "events") {
    events(response);
    return;
  }
  const { status, headers, body } = answer(path, url.searchParams, request.headers.accept ?? "");
  response.writeHead(status, { ...headers, "x-request-id": "01JD3V4A6Z8RJ1T9QK0M5XW2YB" });
  response.end(body);
}

/** A chunk of the recording in progress every two seconds. */
function events(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  response.write(": connected\n\n");
  let id = 1;
  const timer = setInterval(() => {
    const data = JSON.stringify({ kind: "chunk_stored", sequence_name: "live/survey-7", topic_name: "imu", rows: 400 });
    response.write(`id: ${id}\nevent: chunk_stored\ndata: ${data}\n\n`);
    id += 1;
  }, 2000);
  response.on("close", () => clearInterval(timer));
}
