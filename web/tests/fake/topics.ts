/** The topics of the generated recordings: each is a function of the row's number. */

import { readFileSync } from "node:fs";
import type { Field, FieldKind } from "../../src/api/types.ts";

export type Row = { [key: string]: unknown };

export interface FakeTopic {
  name: string;
  tag: string;
  hz: number;
  fields: Field[];
  /** Rows that do not exist, as [first, end) in seconds after the start. */
  gaps: [number, number][];
  bytesPerRow: number;
  /** Begins later than the recording, seconds. */
  from?: number;
  row: (seconds: number, index: number) => Row;
}

function field(path: string, kind: FieldKind, type: string): Field {
  return { path, kind, type };
}

/** Each topic has its times among the fields. */
export const TIMES = ["timestamp_ns", "recording_timestamp_ns"].map((path) => field(path, "number", "Int64"));

function numbers(...paths: string[]): Field[] {
  return paths.map((path) => field(path, "number", "double"));
}

/** A number from [0, 1) that depends on the index only. */
export function noise(index: number, salt = 0): number {
  let value = Math.imul(index + 1, 2_654_435_761) ^ Math.imul(salt + 17, 40_503);
  value = Math.imul(value ^ (value >>> 15), 2_246_822_519);
  value = Math.imul(value ^ (value >>> 13), 3_266_489_917);
  return ((value ^ (value >>> 16)) >>> 0) / 2 ** 32;
}

/** Where the robot is after `s` seconds, m. */
export function position(s: number): { x: number; y: number; z: number } {
  return { x: 40 * Math.sin(s / 19), y: 25 * Math.sin(s / 9.5 + 0.4), z: 6 + 4 * Math.sin(s / 14) };
}

const XYZ = ["x", "y", "z"];
const MODES = ["idle", "takeoff", "cruise", "survey", "return", "landing"];
const LEVELS = ["INFO", "INFO", "INFO", "DEBUG", "WARN", "INFO", "ERROR"];
const TEXTS = [
  "waypoint reached",
  "battery ok",
  "re-planning",
  "link margin low",
  "gimbal tracks target",
  "wind 4.1 m/s",
];

/** 120 packets of H.264, each of which begins with a delimiter; every 20th is a key frame. A square moves to the right. */
export const VIDEO = packetsOf(readFileSync(new URL("./video.h264", import.meta.url)));

function packetsOf(stream: Buffer): Uint8Array[] {
  const delimiter = Buffer.from([0, 0, 0, 1, 9]);
  const starts: number[] = [];
  for (let at = stream.indexOf(delimiter); at >= 0; at = stream.indexOf(delimiter, at + 1)) starts.push(at);
  return starts.map((start, index) => new Uint8Array(stream.subarray(start, starts[index + 1])));
}

export const TOPICS: FakeTopic[] = [
  {
    name: "imu",
    tag: "imu",
    hz: 200,
    gaps: [[37, 41.5]],
    bytesPerRow: 48,
    fields: [
      ...numbers(...XYZ.map((a) => `acceleration.${a}`), ...XYZ.map((a) => `angular_velocity.${a}`)),
      field("header.frame_id", "text", "string"),
    ],
    row: (s, i) => ({
      acceleration: {
        x: 1.4 * Math.sin(s * 2.1) + 0.5 * (noise(i) - 0.5),
        y: 0.8 * Math.cos(s * 1.3) + 0.5 * (noise(i, 1) - 0.5),
        z: i === 14_123 ? 41.7 : 9.81 + 0.3 * (noise(i, 2) - 0.5),
      },
      angular_velocity: { x: 0.2 * Math.sin(s), y: 0.1 * Math.sin(s / 2), z: 0.4 * Math.cos(s / 3) },
      header: { frame_id: "base_link" },
    }),
  },
  {
    name: "camera/front",
    tag: "image",
    hz: 10,
    from: 0.3,
    gaps: [],
    bytesPerRow: 92_160,
    fields: [field("data", "binary", "binary"), field("format", "text", "string"), ...numbers("width", "height")],
    row: (_, i) => ({ data: { bytes: 92_160 + (i % 97) }, format: "png", width: 320, height: 180, encoding: "rgb8" }),
  },
  {
    name: "camera/rear",
    tag: "compressed_image",
    hz: 10,
    gaps: [],
    bytesPerRow: 75,
    fields: [field("data", "binary", "binary"), field("format", "text", "string")],
    row: (_, i) => ({ data: VIDEO[i % VIDEO.length], format: "h264" }),
  },
  {
    name: "gps",
    tag: "gps",
    hz: 5,
    gaps: [[80, 86]],
    bytesPerRow: 64,
    fields: [...numbers("position.x", "position.y", "position.z"), field("status.satellites", "number", "int8")],
    row: (s, i) => {
      const at = position(s);
      const place = { x: 45.0703 + at.y / 111_320, y: 7.6869 + at.x / 78_600, z: 240 + at.z };
      return { position: place, status: { status: 0, service: 1, satellites: 9 + Math.floor(noise(i >> 4) * 5) } };
    },
  },
  {
    name: "pose",
    tag: "pose",
    hz: 50,
    gaps: [],
    bytesPerRow: 72,
    fields: numbers(...XYZ.map((a) => `position.${a}`), ...[...XYZ, "w"].map((a) => `orientation.${a}`)),
    row: (s) => ({
      position: position(s),
      orientation: { x: 0, y: 0, z: Math.sin(s / 38), w: Math.cos(s / 38) },
    }),
  },
  {
    name: "lidar/points",
    tag: "lidar",
    hz: 5,
    gaps: [],
    bytesPerRow: 24_000,
    fields: ["x", "y", "z", "intensity"].map((path) => field(`${path}[]`, "number", "float")),
    row: (s) => lidar(s),
  },
  {
    name: "status/armed",
    tag: "boolean",
    hz: 10,
    gaps: [],
    bytesPerRow: 1,
    fields: [field("data", "bool", "bool")],
    row: (s) => ({ data: s > 8 && s < 110 && !(s > 60 && s < 63) }),
  },
  {
    name: "status/mode",
    tag: "flight_mode",
    hz: 2,
    gaps: [],
    bytesPerRow: 9,
    fields: [field("code", "number", "UInt8"), field("name", "text", "string")],
    row: (s) => {
      const code = Math.min(5, Math.floor(s / 21));
      return { code, name: MODES[code] };
    },
  },
  {
    name: "log",
    tag: "log",
    hz: 3,
    gaps: [],
    bytesPerRow: 60,
    fields: [field("level", "text", "string"), field("message", "text", "string"), field("node", "text", "string")],
    row: (s, i) => ({
      level: LEVELS[Math.floor(noise(i, 5) * LEVELS.length)],
      message: `${TEXTS[Math.floor(noise(i, 6) * TEXTS.length)]} (t=${s.toFixed(1)})`,
      node: i % 3 === 0 ? "planner" : "autopilot",
    }),
  },
  {
    name: "battery",
    tag: "battery_state",
    hz: 1,
    gaps: [],
    bytesPerRow: 40,
    fields: [...numbers("voltage", "current", "percentage"), field("present", "bool", "bool")],
    row: (s) => ({
      voltage: 16.8 - s / 60 - 0.1 * noise(Math.floor(s)),
      current: 12 + 3 * Math.sin(s / 5),
      percentage: 1 - s / 400,
      present: true,
      capacity_uah: 5_200_000_000_000_000_123n,
    }),
  },
];

function lidar(s: number): Row {
  const here = position(s);
  const [x, y, z, intensity]: number[][] = [[], [], [], []];
  for (let i = 0; i < 4000; i += 1) {
    const angle = (i / 4000) * Math.PI * 40;
    const ring = Math.floor((i / 4000) * 20);
    const wall = 18 + 6 * Math.sin(angle * 2 + 1) + 3 * noise(i, 3) * (i % 9 === 0 ? 3 : 0.2);
    x!.push(wall * Math.cos(angle) - here.x * 0.1);
    y!.push(wall * Math.sin(angle) - here.y * 0.1);
    z!.push(-3 + ring * 0.6);
    intensity!.push(noise(i, 4));
  }
  return { x, y, z, intensity };
}
