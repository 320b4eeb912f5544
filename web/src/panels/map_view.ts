/** A plane that touches the Earth at the middle of the tracks: right to a few parts in a thousand over 100 km. */

export interface Track {
  /** Nanoseconds after the origin. */
  time: Float64Array;
  /** Degrees. */
  latitude: Float64Array;
  longitude: Float64Array;
}

/** From degrees to pixels: `scale` is pixels per metre. */
export interface MapView {
  latitude: number;
  longitude: number;
  scale: number;
  /** Where the reference point is on the screen. */
  left: number;
  top: number;
}

const METRES_PER_DEGREE = 111_195;
const MARGIN_PX = 34;
/** A robot that stands still is shown in its surroundings of 20 m. */
const SMALLEST_M = 20;

export function toScreen(view: MapView, latitude: number, longitude: number): { x: number; y: number } {
  const east = wrap(longitude - view.longitude) * METRES_PER_DEGREE * Math.cos((view.latitude * Math.PI) / 180);
  const north = (latitude - view.latitude) * METRES_PER_DEGREE;
  return { x: view.left + east * view.scale, y: view.top - north * view.scale };
}

/** The view in which all tracks fit; null without a position. */
export function fitView(tracks: Track[], width: number, height: number): MapView | null {
  const reference = tracks.find((track) => track.time.length > 0);
  if (!reference) return null;
  const origin = { latitude: reference.latitude[0]!, longitude: reference.longitude[0]!, scale: 1, left: 0, top: 0 };
  let [west, east, north, south] = [0, 0, 0, 0];
  for (const track of tracks) {
    for (let index = 0; index < track.time.length; index += 1) {
      const { x, y } = toScreen(origin, track.latitude[index]!, track.longitude[index]!);
      west = Math.min(west, x);
      east = Math.max(east, x);
      north = Math.min(north, y);
      south = Math.max(south, y);
    }
  }
  const wide = Math.max(east - west, SMALLEST_M);
  const tall = Math.max(south - north, SMALLEST_M);
  const room = { width: Math.max(10, width - 2 * MARGIN_PX), height: Math.max(10, height - 2 * MARGIN_PX) };
  const scale = Math.min(room.width / wide, room.height / tall);
  const left = width / 2 - ((west + east) / 2) * scale;
  const top = height / 2 - ((north + south) / 2) * scale;
  return { ...origin, scale, left, top };
}

/** Zooms by `factor` (above 1: closer); the point at (x, y) stays. */
export function zoomView(view: MapView, x: number, y: number, factor: number): MapView {
  const scale = Math.min(Math.max(view.scale * factor, 1e-6), 1e4);
  const actual = scale / view.scale;
  return { ...view, scale, left: x + (view.left - x) * actual, top: y + (view.top - y) * actual };
}

/** The position of a track that is nearest to a point of the screen. */
export function nearest(
  tracks: Track[],
  view: MapView,
  x: number,
  y: number,
): { time: number; distance: number } | null {
  let found: { time: number; distance: number } | null = null;
  for (const track of tracks) {
    for (let index = 0; index < track.time.length; index += 1) {
      const at = toScreen(view, track.latitude[index]!, track.longitude[index]!);
      const distance = Math.hypot(at.x - x, at.y - y);
      if (!found || distance < found.distance) found = { time: track.time[index]!, distance };
    }
  }
  return found;
}

/** A difference of longitudes, across the date line too. */
function wrap(degrees: number): number {
  return ((((degrees + 180) % 360) + 360) % 360) - 180;
}
