/** A camera that orbits a point; z is up. */

export interface Camera {
  target: [number, number, number];
  distance: number;
  /** Radians; about z, and above the horizon. */
  yaw: number;
  pitch: number;
}

export interface Box {
  low: [number, number, number];
  high: [number, number, number];
}

const FIELD_OF_VIEW = 0.9;
const STEEPEST = Math.PI / 2 - 0.01;

/** A camera from which the whole box is visible. */
export function cameraFor(box: Box, before?: Camera): Camera {
  const target = box.low.map((low, axis) => (low + box.high[axis]!) / 2) as Camera["target"];
  const size = Math.hypot(...box.low.map((low, axis) => box.high[axis]! - low));
  const distance = Math.max(2, size * 0.44) / Math.tan(FIELD_OF_VIEW / 2);
  return { target, distance, yaw: before?.yaw ?? -0.9, pitch: before?.pitch ?? 0.62 };
}

const boxes = new WeakMap<Float32Array, Box>();

/** The smallest box around all points; null without points. */
export function boxOf(lists: Float32Array[]): Box | null {
  const low: Box["low"] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  const high: Box["high"] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const list of lists) {
    const known = boxes.get(list) ?? boxAround(list);
    boxes.set(list, known);
    for (let axis = 0; axis < 3; axis += 1) {
      low[axis] = Math.min(low[axis]!, known.low[axis]!);
      high[axis] = Math.max(high[axis]!, known.high[axis]!);
    }
  }
  return low[0] <= high[0] ? { low, high } : null;
}

function boxAround(list: Float32Array): Box {
  const low: Box["low"] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  const high: Box["high"] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let index = 0; index < list.length; index += 1) {
    const value = list[index]!;
    if (!Number.isFinite(value)) continue;
    const axis = index % 3;
    low[axis] = Math.min(low[axis]!, value);
    high[axis] = Math.max(high[axis]!, value);
  }
  return { low, high };
}

export function orbit(camera: Camera, dx: number, dy: number): Camera {
  const pitch = Math.max(-STEEPEST, Math.min(STEEPEST, camera.pitch + dy * 0.008));
  return { ...camera, yaw: camera.yaw - dx * 0.008, pitch };
}

/** Moves the target in the plane of the screen by pixels of a view of `height` pixels. */
export function slide(camera: Camera, dx: number, dy: number, height: number): Camera {
  const perPixel = (2 * camera.distance * Math.tan(FIELD_OF_VIEW / 2)) / height;
  const { right, up } = axesOf(camera);
  const target = camera.target.map((value, axis) => value + (up[axis]! * dy - right[axis]! * dx) * perPixel);
  return { ...camera, target: target as Camera["target"] };
}

export function dolly(camera: Camera, factor: number): Camera {
  return { ...camera, distance: Math.min(Math.max(camera.distance * factor, 0.05), 1e6) };
}

/** The matrix from the world to the screen, by columns, for WebGL. */
export function matrixOf(camera: Camera, aspect: number): Float32Array {
  const { right, up, back } = axesOf(camera);
  const eye = camera.target.map((value, axis) => value + back[axis]! * camera.distance);
  const near = camera.distance / 200;
  const far = camera.distance * 200;
  const focal = 1 / Math.tan(FIELD_OF_VIEW / 2);
  const rows = [right, up, back].map((axis) => [...axis, -dot(axis, eye)]);
  const depth = [(far + near) / (near - far), (2 * far * near) / (near - far)] as const;
  const matrix = new Float32Array(16);
  for (let column = 0; column < 4; column += 1) {
    const [x, y, z] = rows.map((row) => row[column]!) as [number, number, number];
    matrix[column * 4] = (x * focal) / aspect;
    matrix[column * 4 + 1] = y * focal;
    matrix[column * 4 + 2] = z * depth[0] + (column === 3 ? depth[1] : 0);
    matrix[column * 4 + 3] = -z;
  }
  return matrix;
}

/** The axes of a body at a position, as three lines of `length`; the quaternion is x, y, z, w. */
export function bodyAxes(position: ArrayLike<number>, quaternion: ArrayLike<number>, length: number): Float32Array[] {
  const [x, y, z, w] = [0, 1, 2, 3].map((index) => quaternion[index]!) as [number, number, number, number];
  const norm = Math.hypot(x, y, z, w) || 1;
  const [a, b, c, d] = [x / norm, y / norm, z / norm, w / norm];
  const axes = [
    [1 - 2 * (b * b + c * c), 2 * (a * b + c * d), 2 * (a * c - b * d)],
    [2 * (a * b - c * d), 1 - 2 * (a * a + c * c), 2 * (b * c + a * d)],
    [2 * (a * c + b * d), 2 * (b * c - a * d), 1 - 2 * (a * a + b * b)],
  ];
  const start = [0, 1, 2].map((axis) => position[axis]!);
  return axes.map((axis) =>
    Float32Array.from([...start, ...start.map((value, index) => value + axis[index]! * length)]),
  );
}

function axesOf({ yaw, pitch }: Camera) {
  const back = [Math.cos(pitch) * Math.cos(yaw), Math.cos(pitch) * Math.sin(yaw), Math.sin(pitch)];
  const right = [-Math.sin(yaw), Math.cos(yaw), 0];
  const up = [-Math.sin(pitch) * Math.cos(yaw), -Math.sin(pitch) * Math.sin(yaw), Math.cos(pitch)];
  return { right, up, back };
}

function dot(a: number[], b: number[]): number {
  return a.reduce((sum, value, index) => sum + value * b[index]!, 0);
}
