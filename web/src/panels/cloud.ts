/** Points of a message, from each form in which topics store them. */

import { type Table, tableFromIPC } from "@uwdata/flechette";
import type { CloudForm } from "../lib/roles.ts";

/** x, y, z of each point, m. */
export type Points = Float32Array;

interface PackedField {
  name: string;
  offset: number;
  datatype: number;
}

const FLOAT32 = 7;
const FLOAT64 = 8;

/**
 * The points of the first message of an Arrow stream; none if it has no message.
 *
 * @throws Error the message has no points that can be drawn
 */
export function decodePoints(bytes: Uint8Array, form: CloudForm): Points {
  const table = tableFromIPC(bytes);
  if (table.numRows === 0) return new Float32Array();
  if (form === "columns") return fromColumns(numbers(table, "x"), numbers(table, "y"), numbers(table, "z"));
  if (form === "scan")
    return fromScan(numbers(table, "ranges"), one(table, "angle_min"), one(table, "angle_increment"));
  return fromPacked(table);
}

export function fromColumns(x: ArrayLike<number>, y: ArrayLike<number>, z: ArrayLike<number>): Points {
  const count = Math.min(x.length, y.length, z.length);
  const points = new Float32Array(count * 3);
  for (let index = 0; index < count; index += 1) {
    points[index * 3] = x[index]!;
    points[index * 3 + 1] = y[index]!;
    points[index * 3 + 2] = z[index]!;
  }
  return points;
}

/** Ranges of a laser that turns about z; invalid ranges are left out. */
export function fromScan(ranges: ArrayLike<number>, first: number, step: number): Points {
  const points: number[] = [];
  for (let index = 0; index < ranges.length; index += 1) {
    const range = ranges[index]!;
    if (!Number.isFinite(range) || range <= 0) continue;
    const angle = first + index * step;
    points.push(range * Math.cos(angle), range * Math.sin(angle), 0);
  }
  return Float32Array.from(points);
}

function fromPacked(table: Table): Points {
  const fields = [...(cell(table, "fields") as Iterable<PackedField>)];
  const data = cell(table, "data") as Uint8Array;
  return unpack(data, fields, Number(cell(table, "point_step")), Boolean(cell(table, "is_bigendian")));
}

/** Points in the form of ROS `PointCloud2`. */
export function unpack(data: Uint8Array, fields: PackedField[], pointStep: number, bigEndian: boolean): Points {
  const axes = ["x", "y", "z"].map((name) => fields.find((field) => field.name === name));
  for (const axis of axes) {
    if (!axis) throw new Error("the point cloud has no fields x, y and z");
    if (![FLOAT32, FLOAT64].includes(Number(axis.datatype)))
      throw new Error(`${axis.name} is no float in the point cloud`);
  }
  if (!(pointStep > 0)) throw new Error("the point cloud has a point_step of 0");
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const count = Math.floor(data.byteLength / pointStep);
  const points = new Float32Array(count * 3);
  for (let index = 0; index < count; index += 1) {
    for (let axis = 0; axis < 3; axis += 1) {
      const { offset, datatype } = axes[axis]!;
      const at = index * pointStep + Number(offset);
      const wide = Number(datatype) === FLOAT64;
      points[index * 3 + axis] = wide ? view.getFloat64(at, !bigEndian) : view.getFloat32(at, !bigEndian);
    }
  }
  return points;
}

function cell(table: Table, name: string): unknown {
  const column = table.getChild(name);
  if (!column) throw new Error(`the message has no field ${name}`);
  return column.at(0);
}

function numbers(table: Table, name: string): ArrayLike<number> {
  const value = cell(table, name);
  return value === null ? [] : (value as ArrayLike<number>);
}

function one(table: Table, name: string): number {
  return Number(cell(table, name));
}
