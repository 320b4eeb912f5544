/** Frames of a camera topic: the one at the cursor first, then those after it. */

import { signal } from "@preact/signals";
import { type Frame, frame } from "../api/client.ts";
import { ApiError, isAbort, messageOf } from "../api/http.ts";
import { Recent } from "../lib/latest.ts";
import type { VideoCodec } from "./video_packets.ts";

export interface Picture {
  /** Nanoseconds after the origin. */
  time: number;
  /** Time of the next frame; infinite for the last one. */
  next: number;
  picture: ImageBitmap;
}

const KEPT = 48;
const AHEAD = 4;
const NOT_FOUND = 404;
/** The browser has six connections to the daemon; other panels need some. */
const PARALLEL = 2;

/** Types of packets, as the route `frame` names them. */
const VIDEO = /^video\/(h264|h265)$/;

export class FrameLoader {
  /** Set once the topic turns out to be a video: its packets are no pictures of their own. */
  readonly video = signal<VideoCodec | null>(null);
  readonly shown = signal<Picture | null>(null);
  readonly error = signal<string | null>(null);
  /** Whether the cursor is before the first frame. */
  readonly none = signal(false);

  readonly #name: string;
  readonly #topic: string;
  readonly #origin: () => bigint;
  readonly #width: number;
  readonly #end = new AbortController();
  readonly #known = new Recent<number, Picture>(KEPT, (dropped) => dropped.picture.close());
  readonly #loading = new Set<number>();
  #cursor = 0;
  #playing = false;

  constructor(name: string, topic: string, origin: () => bigint, width: number) {
    this.#name = name;
    this.#topic = topic;
    this.#origin = origin;
    this.#width = width;
  }

  /** Shows the last frame not after `cursor`; while playing, loads ahead. */
  want(cursor: number, playing: boolean): void {
    this.#cursor = cursor;
    this.#playing = playing;
    this.#advance();
  }

  stop(): void {
    this.#end.abort();
    this.#known.clear();
  }

  #advance(): void {
    const current = this.#at(this.#cursor);
    if (current) {
      this.#show(current);
      this.none.value = false;
    }
    const missing = current ? this.#missingAfter(current) : this.#cursor;
    if (missing !== null) void this.#load(missing);
  }

  #show(picture: Picture): void {
    if (this.shown.peek() !== picture) this.shown.value = picture;
  }

  #at(time: number): Picture | undefined {
    for (const picture of this.#known.values()) {
      if (picture.time <= time && time < picture.next) return this.#known.get(picture.time);
    }
    return undefined;
  }

  /** Time of the first of the next frames that is not loaded. */
  #missingAfter(current: Picture): number | null {
    if (!this.#playing) return null;
    let last = current;
    for (let ahead = 0; ahead < AHEAD; ahead += 1) {
      if (last.next === Number.POSITIVE_INFINITY) return null;
      const next = this.#at(last.next);
      if (!next) return last.next;
      last = next;
    }
    return null;
  }

  async #load(time: number): Promise<void> {
    if (this.#loading.size >= PARALLEL || this.#loading.has(time) || this.#end.signal.aborted) return;
    this.#loading.add(time);
    try {
      const at = this.#origin() + BigInt(Math.round(time));
      const loaded = await frame(this.#name, this.#topic, at, this.#width, this.#end.signal);
      const codec = VIDEO.exec(loaded.blob.type)?.[1];
      if (codec) {
        this.video.value = codec as VideoCodec;
        return;
      }
      await this.#keep(loaded);
      this.error.value = null;
      this.none.value = false;
    } catch (error) {
      if (isAbort(error)) return;
      if (error instanceof ApiError && error.status === NOT_FOUND) {
        this.none.value = true;
        return;
      }
      this.error.value = messageOf(error);
      return;
    } finally {
      this.#loading.delete(time);
    }
    this.#advance(); // the cursor may have moved meanwhile
  }

  async #keep(loaded: Frame): Promise<void> {
    const origin = this.#origin();
    const picture = await decode(loaded.blob);
    if (this.#end.signal.aborted) return picture.close();
    const time = Number(loaded.timestamp - origin);
    const next = loaded.next === null ? Number.POSITIVE_INFINITY : Number(loaded.next - origin);
    this.#known.set(time, { time, next, picture });
    // A picture that arrived late is better than none while the cursor moves on.
    const shown = this.shown.peek();
    if (!shown || Math.abs(this.#cursor - time) < Math.abs(this.#cursor - shown.time))
      this.#show(this.#known.get(time)!);
  }
}

async function decode(blob: Blob): Promise<ImageBitmap> {
  try {
    return await createImageBitmap(blob);
  } catch {
    throw new Error(`the browser cannot show frames of the type ${blob.type || "unknown"}`);
  }
}
