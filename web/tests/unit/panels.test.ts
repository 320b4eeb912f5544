import { describe, expect, test } from "vitest";
import { columnAt, decodeSeries } from "../../src/api/series.ts";
import type { Field, TopicDetail } from "../../src/api/types.ts";
import { bodyAxes } from "../../src/panels/camera.ts";
import { choosePanels, fieldGroups, kindsFor } from "../../src/panels/choose.ts";
import { decodePoints, fromScan, unpack } from "../../src/panels/cloud.ts";
import { fitView, nearest, toScreen, zoomView } from "../../src/panels/map_view.ts";
import { printPanel } from "../../src/panels/panel.ts";
import { rangeOf } from "../../src/panels/plot_drawing.ts";
import { rgb } from "../../src/panels/renderer.ts";
import { bandsOf } from "../../src/panels/state_bands.ts";
import { codecName, isKey, unitsOf } from "../../src/panels/video_packets.ts";
import { answer } from "../fake/routes.ts";
import { detailOf, SEQUENCES } from "../fake/store.ts";
import { VIDEO } from "../fake/topics.ts";

const FLIGHT = SEQUENCES[1]!;
const ARROW = "application/vnd.apache.arrow.stream";

function topic(ontology_tag: string, fields: [string, Field["kind"]][]): TopicDetail {
  const all = fields.map(([path, kind]) => ({ path, kind, type: "" }));
  return {
    name: ontology_tag,
    ontology_tag,
    user_metadata: {},
    rows: 1,
    bytes: 1,
    time_range: null,
    rate_hz: null,
    data: "",
    fields: all,
  };
}

function load(path: string, query: Record<string, string>): Uint8Array {
  return answer(`sequences/flight-042/topics/${path}`, new URLSearchParams(query), ARROW).body as Uint8Array;
}

test("a sequence is shown with a panel for what each topic is", () => {
  expect(choosePanels(detailOf(FLIGHT)).map(printPanel)).toEqual([
    "image!camera/front",
    "image!camera/rear",
    "map!gps",
    "scene!pose",
    "scene!lidar/points",
    "plot!imu!acceleration.x!acceleration.y!acceleration.z",
    "plot!pose!position.x!position.y!position.z",
    "plot!battery!voltage",
    "plot!imu!angular_velocity.x!angular_velocity.y!angular_velocity.z",
    "bands!status/armed!data!!status/mode!code!!battery!present",
    "log!log",
  ]);
});

test("codes in optional structs are shown only if the user asks", () => {
  const detail = detailOf(FLIGHT);
  const gps = {
    ...topic("gps", [
      ["position.x", "number"],
      ["position.y", "number"],
    ]),
    name: "gps",
  };
  gps.fields.push({ path: "status.status", type: "Int8", kind: "number" });
  expect(choosePanels({ ...detail, topics: [gps] }).map(printPanel)).toEqual(["map!gps"]);
  expect(kindsFor(gps)).toContain("bands");
});

describe("roles", () => {
  test("are found by the fields of the user's own classes", () => {
    expect(
      kindsFor(
        topic("navsat", [
          ["latitude", "number"],
          ["longitude", "number"],
        ]),
      ),
    ).toEqual(["map", "plot", "message"]);
    expect(
      kindsFor(
        topic(
          "odometry",
          ["x", "y", "z"].map((a) => [`pose.position.${a}`, "number"]),
        ),
      ),
    ).toEqual(["scene", "plot", "message"]);
    expect(
      kindsFor(
        topic("scan", [
          ["ranges[]", "number"],
          ["angle_min", "number"],
          ["angle_increment", "number"],
        ]),
      ),
    ).toContain("scene");
    expect(
      kindsFor(
        topic("jpeg", [
          ["data", "binary"],
          ["format", "text"],
        ]),
      ),
    ).toEqual(["image", "message"]);
    expect(kindsFor(topic("blob", [["data", "binary"]]))).toEqual(["message"]);
  });

  test("headers and covariances are no plots", () => {
    const fields: [string, Field["kind"]][] = [
      ["x", "number"],
      ["header.seq", "number"],
      ["covariance_type", "number"],
      ["a[]", "number"],
    ];
    expect(fieldGroups(topic("t", fields))).toEqual([["x"]]);
  });
});

test("fields that differ by an axis or a position are on one plot", () => {
  const names = ["vx", "vy", "vz", "max", "box", "gyro[0]", "gyro[1]", "acc_x", "acc_y", "x", "y", "temp_1", "temp_2"];
  const groups = fieldGroups(
    topic(
      "px4",
      names.map((name) => [name, "number"]),
    ),
  );
  expect(groups.map((fields) => fields.join())).toEqual([
    "vx,vy,vz",
    "max",
    "box",
    "gyro[0],gyro[1]",
    "acc_x,acc_y",
    "x,y",
    "temp_1,temp_2",
  ]);
});

describe("series", () => {
  const all = { fields: "acceleration.z", px: "300" };

  test("keep the one spike of 24 000 rows", () => {
    const columns = decodeSeries(load("imu/series", all), ["acceleration.z"], FLIGHT.start);
    expect(columns.first.length).toBeLessThanOrEqual(300);
    const field = columns.fields.get("acceleration.z")!;
    expect(Math.max(...field.max)).toBe(41.7);
    const curve = { columns, field, color: "", gap: 1 };
    expect(rangeOf([curve], { from: 0, to: 120e9 })!.high).toBeGreaterThan(41.7);
    expect(rangeOf([curve], { from: 0, to: 30e9 })!.high).toBeLessThan(11);
    expect(rangeOf([curve], { from: 38e9, to: 39e9 })).not.toBeNull(); // in a gap: what is at its borders
  });

  test("have exact times", () => {
    const from = FLIGHT.start + 5_000_000n;
    const query = { ...all, from: String(from), to: String(from + 20_000_000n) };
    const columns = decodeSeries(load("imu/series", query), ["acceleration.z"], FLIGHT.start);
    expect([...columns.first]).toEqual([5e6, 10e6, 15e6, 20e6]);
    expect([...columns.count]).toEqual([1, 1, 1, 1]);
  });

  test("columnAt finds the last that began", () => {
    expect([-1, 0, 9, 10, 25, 99].map((time) => columnAt([0, 10, 20], time))).toEqual([-1, 0, 0, 1, 2, 2]);
  });
});

test("bands are runs of equal values, and mark columns that change", () => {
  const column = (values: number[]) => Float64Array.from(values);
  const columns = {
    first: column([0, 10, 20, 30, 40]),
    last: column([5, 15, 25, 35, 45]),
    count: column([2, 2, 2, 2, 2]),
    fields: new Map([
      ["on", { min: column([0, 0, 0, 1, 1]), max: column([0, 0, 1, 1, 1]), first: column([]), last: column([]) }],
    ]),
  };
  expect(bandsOf(columns, "on")).toEqual([
    { from: 0, to: 20, value: 0 },
    { from: 20, to: 30, value: null },
    { from: 30, to: 45, value: 1 },
  ]);
});

describe("points", () => {
  test("of lists", () => {
    const at = String(FLIGHT.start + 1_000_000_000n);
    expect(decodePoints(load("lidar%2Fpoints/messages", { at }), "columns")).toHaveLength(12_000);
  });

  test("of packed bytes, in both byte orders", () => {
    for (const bigEndian of [false, true]) {
      const data = new DataView(new ArrayBuffer(2 * 24));
      for (const [index, value] of [1.5, -2, 3, 4, 5, 6].entries()) {
        const at = Math.floor(index / 3) * 24 + 4 + (index % 3) * 4;
        data.setFloat32(at, value, !bigEndian);
      }
      const fields = ["x", "y", "z"].map((name, index) => ({ name, offset: 4 + index * 4, datatype: 7 }));
      expect([...unpack(new Uint8Array(data.buffer), fields, 24, bigEndian)]).toEqual([1.5, -2, 3, 4, 5, 6]);
    }
    expect(() => unpack(new Uint8Array(8), [], 8, false)).toThrow("no fields x, y and z");
  });

  test("of a scan, without invalid ranges", () => {
    const points = fromScan([1, Number.POSITIVE_INFINITY, 2], 0, Math.PI / 2);
    expect([...points].map((value) => Math.round(value))).toEqual([1, 0, 0, -2, 0, 0]);
  });
});

describe("maps", () => {
  const track = {
    time: Float64Array.of(0, 1),
    latitude: Float64Array.of(45, 45.001),
    longitude: Float64Array.of(179.9995, -179.9995),
  };

  test("fit the track, across the date line too", () => {
    const view = fitView([track], 400, 300)!;
    const [a, b] = [toScreen(view, 45, 179.9995), toScreen(view, 45.001, -179.9995)];
    expect(b.x - a.x).toBeGreaterThan(50);
    expect(b.x - a.x).toBeLessThan(400);
    expect(a.y).toBeGreaterThan(b.y); // north is up
    expect(Math.hypot(b.x - a.x, b.y - a.y) / view.scale).toBeCloseTo(Math.hypot(111.195, 78.63), 0); // metres
    expect(nearest([track], view, b.x + 3, b.y)).toMatchObject({ time: 1 });
  });

  test("zoom around the pointer", () => {
    const view = fitView([track], 400, 300)!;
    const before = toScreen(view, 45.0005, 180);
    const after = toScreen(zoomView(view, before.x, before.y, 3), 45.0005, 180);
    expect(after.x).toBeCloseTo(before.x, 6);
    expect(after.y).toBeCloseTo(before.y, 6);
  });
});

test("colors of style sheets, as minifiers write them", () => {
  expect(rgb("#fff")).toEqual([1, 1, 1]);
  expect(rgb("#ff8000")).toEqual([1, 128 / 255, 0]);
});

describe("video packets", () => {
  test("of H.264: keys, and the name with profile and level", () => {
    expect(VIDEO).toHaveLength(120);
    expect(VIDEO.flatMap((packet, index) => (isKey(packet, "h264") ? [index] : []))).toEqual([0, 20, 40, 60, 80, 100]);
    expect(codecName(VIDEO[0]!, "h264")).toBe("avc1.64000c");
    expect(codecName(VIDEO[1]!, "h264")).toBeNull();
    expect(unitsOf(Uint8Array.of(0, 0, 1, 9, 0, 0, 0, 1, 103, 0, 0, 1))).toEqual([3, 8]);
  });

  test("of HEVC", () => {
    // A sequence parameter set of the profile Main, level 3.1, then an IDR picture.
    const profile = [0x01, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 93];
    const packet = Uint8Array.of(0, 0, 0, 1, 66, 1, 1, ...profile, 160, 0, 0, 1, 38, 1, 175);
    expect(codecName(packet, "h265")).toBe("hev1.1.6.L93.B0");
    expect(isKey(packet, "h265")).toBe(true);
    expect(isKey(Uint8Array.of(0, 0, 1, 2, 1, 208), "h265")).toBe(false);
  });
});

test("the axes of a body turn with its quaternion", () => {
  const quarter = [0, 0, Math.SQRT1_2, Math.SQRT1_2]; // a quarter turn to the left about z
  const ends = bodyAxes([1, 2, 3], quarter, 2).map((line) =>
    [...line.slice(3)].map((value) => Math.round(value * 1e5) / 1e5),
  );
  expect(ends).toEqual([
    [1, 4, 3],
    [-1, 2, 3],
    [1, 2, 5],
  ]);
});
