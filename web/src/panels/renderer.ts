/** Lines and points in WebGL. */

const VERTEX = `
attribute vec3 position;
uniform mat4 matrix;
uniform float pointSize;
uniform vec2 heights;
varying float height;
void main() {
  gl_Position = matrix * vec4(position, 1.0);
  gl_PointSize = pointSize;
  height = clamp((position.z - heights.x) / max(heights.y - heights.x, 1e-6), 0.0, 1.0);
}`;
const FRAGMENT = `
precision mediump float;
uniform vec4 color;
uniform float byHeight;
varying float height;
void main() {
  vec3 low = vec3(0.18, 0.42, 0.86);
  vec3 middle = vec3(0.10, 0.72, 0.60);
  vec3 high = vec3(0.98, 0.72, 0.28);
  vec3 ramp = height < 0.5 ? mix(low, middle, height * 2.0) : mix(middle, high, height * 2.0 - 1.0);
  gl_FragColor = vec4(mix(color.rgb, ramp, byHeight), color.a);
}`;

export interface Shape {
  kind: "line" | "lines" | "points";
  positions: Float32Array;
  /** Red, green, blue, from 0 to 1; null: by height. */
  color: [number, number, number] | null;
  size?: number;
}

export class Renderer {
  readonly #gl: WebGLRenderingContext;
  readonly #program: WebGLProgram;
  readonly #buffers = new Map<Float32Array, WebGLBuffer>();

  /** @throws Error the browser has no WebGL */
  constructor(canvas: HTMLCanvasElement) {
    // Kept for saving the panel as a picture.
    const gl = canvas.getContext("webgl", { antialias: true, preserveDrawingBuffer: true });
    if (!gl) throw new Error("the browser has no WebGL, which 3-D needs");
    this.#gl = gl;
    this.#program = link(gl);
  }

  draw(shapes: Shape[], matrix: Float32Array, ground: [number, number, number], pixelRatio: number): void {
    const gl = this.#gl;
    gl.viewport(0, 0, gl.drawingBufferWidth, gl.drawingBufferHeight);
    gl.clearColor(...ground, 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    gl.useProgram(this.#program);
    gl.uniformMatrix4fv(this.#uniform("matrix"), false, matrix);
    for (const shape of shapes) this.#drawShape(shape, pixelRatio);
    this.#forget(shapes);
  }

  dispose(): void {
    this.#forget([]);
    this.#gl.deleteProgram(this.#program);
    this.#gl.getExtension("WEBGL_lose_context")?.loseContext();
  }

  #drawShape(shape: Shape, pixelRatio: number): void {
    const gl = this.#gl;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.#bufferOf(shape.positions));
    const position = gl.getAttribLocation(this.#program, "position");
    gl.enableVertexAttribArray(position);
    gl.vertexAttribPointer(position, 3, gl.FLOAT, false, 0, 0);
    gl.uniform1f(this.#uniform("pointSize"), (shape.size ?? 2) * pixelRatio);
    gl.uniform1f(this.#uniform("byHeight"), shape.color ? 0 : 1);
    gl.uniform4f(this.#uniform("color"), ...(shape.color ?? [1, 1, 1]), 1);
    gl.uniform2f(this.#uniform("heights"), ...(shape.color ? ([0, 1] as const) : heightsOf(shape.positions)));
    const mode = { line: gl.LINE_STRIP, lines: gl.LINES, points: gl.POINTS }[shape.kind];
    gl.drawArrays(mode, 0, shape.positions.length / 3);
  }

  #bufferOf(positions: Float32Array): WebGLBuffer {
    const gl = this.#gl;
    const known = this.#buffers.get(positions);
    if (known) return known;
    const buffer = gl.createBuffer()!;
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, positions, gl.STATIC_DRAW);
    this.#buffers.set(positions, buffer);
    return buffer;
  }

  #forget(shown: Shape[]): void {
    const used = new Set(shown.map((shape) => shape.positions));
    for (const [positions, buffer] of this.#buffers) {
      if (used.has(positions)) continue;
      this.#gl.deleteBuffer(buffer);
      this.#buffers.delete(positions);
    }
  }

  #uniform(name: string): WebGLUniformLocation | null {
    return this.#gl.getUniformLocation(this.#program, name);
  }
}

function link(gl: WebGLRenderingContext): WebGLProgram {
  const program = gl.createProgram()!;
  for (const [type, source] of [
    [gl.VERTEX_SHADER, VERTEX],
    [gl.FRAGMENT_SHADER, FRAGMENT],
  ] as const) {
    const shader = gl.createShader(type)!;
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(`WebGL: ${gl.getProgramInfoLog(program)}`);
  return program;
}

const heights = new WeakMap<Float32Array, readonly [number, number]>();

function heightsOf(positions: Float32Array): readonly [number, number] {
  let known = heights.get(positions);
  if (!known) {
    let low = Number.POSITIVE_INFINITY;
    let high = Number.NEGATIVE_INFINITY;
    for (let index = 2; index < positions.length; index += 3) {
      const z = positions[index]!;
      if (z < low) low = z;
      if (z > high) high = z;
    }
    known = [low, high];
    heights.set(positions, known);
  }
  return known;
}

/** Red, green and blue from 0 to 1 of a color such as `#0e1116` or `#fff`. */
export function rgb(hex: string): [number, number, number] {
  const digits = hex.slice(1);
  const long = digits.length === 3 ? [...digits].map((digit) => digit + digit).join("") : digits;
  const value = Number.parseInt(long, 16);
  return [((value >> 16) & 255) / 255, ((value >> 8) & 255) / 255, (value & 255) / 255];
}
