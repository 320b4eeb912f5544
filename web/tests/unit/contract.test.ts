/** The generated answers are answers that the daemon may give: docs/openapi.json describes both. */

import { readFileSync } from "node:fs";
import Ajv2020 from "ajv/dist/2020.js";
import { describe, expect, test } from "vitest";
import { answer } from "../fake/routes.ts";

interface Parameter {
  name: string;
  in: string;
}

const document = JSON.parse(readFileSync(new URL("../../../docs/openapi.json", import.meta.url), "utf8"));
const ajv = new Ajv2020({ strict: false, validateFormats: false });
ajv.addSchema(document, "openapi");

const route = (path: string) => `/api/v1/${path}`;
const CALLS: [path: string, call: string, query: Record<string, string>][] = [
  [route("info"), "info", {}],
  [route("sequences"), "sequences", { search: "run", sort: "start", order: "desc", limit: "3" }],
  [route("sequences/{name}"), "sequences/flight-042", {}],
  [route("sequences/{name}"), "sequences/live%2Fsurvey-7", {}],
  [route("sequences/{name}/density"), "sequences/flight-042/density", { px: "20" }],
  [route("sequences/{name}/topics/{topic}/messages"), "sequences/flight-042/topics/battery/messages", { limit: "2" }],
  [
    route("sequences/{name}/topics/{topic}/messages"),
    "sequences/flight-042/topics/camera%2Frear/messages",
    { at: "1796025605900000000" },
  ],
];

describe("generated answers follow docs/openapi.json", () => {
  test.each(CALLS)("%s %s", (path, call, query) => {
    const { get } = document.paths[path];
    const known = get.parameters
      .filter((parameter: Parameter) => parameter.in === "query")
      .map(({ name }: Parameter) => name);
    for (const name of Object.keys(query)) expect(known).toContain(name);
    const { status, body } = answer(call, new URLSearchParams(query), "application/json");
    expect(status).toBe(200);
    const pointer = path.replaceAll("~", "~0").replaceAll("/", "~1");
    const validate = ajv.getSchema(`openapi#/paths/${pointer}/get/responses/200/content/application~1json/schema`)!;
    validate(JSON.parse(body as string));
    expect(validate.errors).toBeNull();
  });

  test("errors too", () => {
    const { status, body } = answer("sequences/lost", new URLSearchParams(), "application/json");
    expect(status).toBe(404);
    const validate = ajv.getSchema("openapi#/components/schemas/Error")!;
    validate(JSON.parse(body as string));
    expect(validate.errors).toBeNull();
  });
});
