import { describe, expect, test, vi } from "vitest";
import { LIST, note, parseRoute, printRoute, type Route, route } from "../../src/lib/route.ts";
import { newPanel, parsePanel, printPanel, toggleField } from "../../src/panels/panel.ts";

const SEQUENCE = { view: "sequence", name: "a", time: null, window: null, panels: null, follow: false } as const;

describe("routes", () => {
  const routes: Route[] = [
    LIST,
    {
      ...LIST,
      find: 'sequence.user_metadata.site == "a&b#c"',
      states: ["recording", "interrupted"],
      sort: "name",
      order: "asc",
    },
    { ...SEQUENCE, name: "live/survey 7?#%" },
    { ...SEQUENCE, time: 1796025600000000001n, window: { from: 1796025600000000000n, to: 1796025600000000100n } },
    { ...SEQUENCE, panels: ["plot!imu!acceleration.x!!gps!position.z", "message*!a&b"] },
    { ...SEQUENCE, panels: [] },
    { ...SEQUENCE, follow: true },
  ];
  test.each(routes.map((route) => [printRoute(route), route] as const))("%s restores its view", (link, route) => {
    expect(parseRoute(link)).toEqual(route);
  });

  test("what makes no sense has its default", () => {
    expect(parseRoute("#/?sort=color&order=up&state=lost")).toEqual(LIST);
    expect(parseRoute("#/s/a?t=soon&w=5~3")).toEqual(SEQUENCE);
    expect(parseRoute("#/s/%")).toEqual({ ...SEQUENCE, name: "%" });
    expect(parseRoute("")).toEqual(LIST);
  });
});

test("a view that was left does not change the address", () => {
  const replaceState = vi.fn();
  vi.stubGlobal("location", { hash: "#/" });
  vi.stubGlobal("history", { replaceState });
  const moved = { ...SEQUENCE, time: 5n };
  route.value = LIST;
  note(moved);
  route.value = { ...SEQUENCE, name: "b" };
  note(moved);
  expect(replaceState).not.toHaveBeenCalled();
  route.value = SEQUENCE;
  note(moved);
  expect(replaceState).toHaveBeenCalledWith(null, "", "#/s/a?t=5");
});

describe("panels", () => {
  test("a text restores a panel", () => {
    const panel = newPanel(
      "plot",
      [
        { topic: "a!b%", fields: ["x.y", "!"] },
        { topic: "c", fields: ["z"] },
      ],
      true,
    );
    expect({ ...parsePanel(printPanel(panel)), id: 0 }).toEqual({ ...panel, id: 0 });
  });

  test.each(["", "plot", "plot!", "video!a", "!a"])("%j is no panel", (text) => {
    expect(parsePanel(text)).toBeNull();
  });

  test("a field is added, and taken away", () => {
    const panel = newPanel("plot", [{ topic: "a", fields: ["x"] }]);
    const more = toggleField(panel, "b", "y")!;
    expect(printPanel(more)).toBe("plot!a!x!!b!y");
    expect(printPanel(toggleField(more, "a", "x")!)).toBe("plot!b!y");
    expect(toggleField(panel, "a", "x")).toBeNull();
  });
});
