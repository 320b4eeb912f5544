/** Frames of a video topic, decoded by the browser from the key frame before the cursor. */

import { signal } from "@preact/signals";
import { tableFromIPC } from "@uwdata/flechette";
import { messagesArrow } from "../api/client.ts";
import { isAbort, messageOf } from "../api/http.ts";
import { codecName, isKey, type VideoCodec } from "./video_packets.ts";

interface Packet {
  /** Nanoseconds after the origin. */
  time: number;
  data: Uint8Array;
  key: boolean;
}

export interface VideoPicture {
  time: number;
  picture: VideoFrame;
}

const FIRST_LOOK_BACK_NS = 2e9;
const FARTHEST_LOOK_BACK_NS = 300e9;
const AHEAD_NS = 1e9;
const PAGE = 200;
/** Packets that are given to the decoder before their time, so that it never waits while the player runs. */
const FED_AHEAD = 4;

export class VideoLoader {
  readonly shown = signal<VideoPicture | null>(null);
  readonly error = signal<string | null>(null);

  readonly #name: string;
  readonly #topic: string;
  readonly #origin: () => bigint;
  readonly #codec: VideoCodec;
  readonly #end = new AbortController();
  /** Packets without a gap, from a key frame on. All packets before `#known` are here or before the first. */
  #packets: Packet[] = [];
  #known = Number.NEGATIVE_INFINITY;
  #loading = false;
  #decoder: VideoDecoder | null = null;
  /** Index of the next packet for the decoder; null: it has to begin with a key frame. */
  #next: number | null = null;
  /** Decoded before their time. */
  #ready: VideoFrame[] = [];
  #cursor = 0;
  #playing = false;

  constructor(name: string, topic: string, origin: () => bigint, codec: VideoCodec) {
    this.#name = name;
    this.#topic = topic;
    this.#origin = origin;
    this.#codec = codec;
  }

  /** Shows the last frame not after `cursor`. */
  want(cursor: number, playing: boolean): void {
    this.#cursor = cursor;
    this.#playing = playing;
    this.#advance();
  }

  stop(): void {
    this.#end.abort();
    this.#restart();
    this.#decoder?.close();
    this.shown.peek()?.picture.close();
  }

  #advance(): void {
    if (this.#end.signal.aborted) return;
    const first = this.#packets[0];
    const inside = first !== undefined && first.time <= this.#cursor && this.#cursor <= this.#known;
    if (inside) this.#tryDecode();
    if (!inside || (this.#playing && this.#known < this.#cursor + AHEAD_NS / 2)) void this.#load();
  }

  async #load(): Promise<void> {
    if (this.#loading) return;
    this.#loading = true;
    const cursor = this.#cursor;
    try {
      const follows = this.#packets.length > 0 && cursor >= this.#packets[0]!.time && cursor <= this.#known + AHEAD_NS;
      if (follows) this.#packets.push(...(await this.#fetch(this.#known + 1, cursor + AHEAD_NS)));
      else await this.#begin(cursor);
      this.#known = cursor + AHEAD_NS;
      this.error.value = null;
    } catch (error) {
      if (!isAbort(error)) this.error.value = messageOf(error);
      return;
    } finally {
      this.#loading = false;
    }
    this.#trim();
    // Before the first key frame nothing can be shown; asking again would not change that.
    if (this.#cursor !== cursor || this.#packets[0]!.time <= cursor) this.#advance();
  }

  /** Loads from the key frame before the cursor on. */
  async #begin(cursor: number): Promise<void> {
    this.#restart();
    for (let back = FIRST_LOOK_BACK_NS; ; back *= 4) {
      const packets = await this.#fetch(cursor - back, cursor + AHEAD_NS);
      const key = packets.findLastIndex((packet) => packet.key && packet.time <= cursor);
      const early = packets.findIndex((packet) => packet.key);
      if (key >= 0 || back > FARTHEST_LOOK_BACK_NS || cursor - back < 0) {
        const start = key >= 0 ? key : early;
        if (start < 0) throw new Error("no key frame in the minutes before the cursor: nothing can be decoded");
        this.#packets = packets.slice(start);
        return;
      }
    }
  }

  async #fetch(from: number, to: number): Promise<Packet[]> {
    const packets: Packet[] = [];
    const origin = this.#origin();
    let next = BigInt(Math.max(0, Math.round(from))) + origin;
    const end = BigInt(Math.round(to)) + origin + 1n;
    while (next < end) {
      const request = { from: next, to: end, limit: PAGE, columns: ["data"] };
      const bytes = await messagesArrow(this.#name, this.#topic, request, this.#end.signal);
      const table = tableFromIPC(bytes, { useBigInt: true });
      if (table.numRows === 0) break;
      const times = table.getChild("timestamp_ns");
      const data = table.getChild("data");
      for (let row = 0; row < table.numRows; row += 1) {
        const packet = data.at(row) as Uint8Array;
        const time = BigInt(times.at(row) as bigint);
        packets.push({ time: Number(time - origin), data: packet, key: isKey(packet, this.#codec) });
        next = time + 1n;
      }
    }
    return packets;
  }

  /** Drops what is long past, up to a key frame. */
  #trim(): void {
    const key = this.#packets.findLastIndex((packet) => packet.key && packet.time <= this.#cursor);
    if (key < PAGE) return;
    this.#packets.splice(0, key);
    this.#next = this.#next === null ? null : Math.max(0, this.#next - key);
  }

  #tryDecode(): void {
    try {
      this.#decode();
    } catch (error) {
      this.error.value = messageOf(error);
    }
  }

  #decode(): void {
    const target = this.#packets.findLastIndex((packet) => packet.time <= this.#cursor);
    if (target < 0) return;
    const { time } = this.#packets[target]!;
    this.#present();
    const shown = this.shown.peek()?.time ?? Number.NEGATIVE_INFINITY;
    if (!this.#playing && shown === time) return;
    const key = this.#packets.findLastIndex((packet, index) => packet.key && index <= target);
    if (this.#next === null || time < shown || key > this.#next) {
      this.#restart();
      this.#next = key;
    }
    const end = Math.min(this.#packets.length - 1, this.#playing ? target + FED_AHEAD : target);
    while (this.#next! <= end) this.#feed(this.#packets[this.#next!++]!);
    if (!this.#playing) this.#flush();
  }

  #feed(packet: Packet): void {
    this.#decoder ??= this.#open();
    if (this.#decoder.state === "unconfigured") {
      const codec = codecName(packet.data, this.#codec);
      if (!codec) throw new Error("the key frame has no parameters of the stream");
      this.#decoder.configure({ codec, optimizeForLatency: true });
    }
    const type = packet.key ? "key" : "delta";
    // Timestamps of the decoder only name the frames: nanoseconds fit.
    this.#decoder.decode(new EncodedVideoChunk({ type, timestamp: packet.time, data: packet.data }));
  }

  /** Makes the decoder deliver everything; afterwards it has to begin with a key frame. */
  #flush(): void {
    const decoder = this.#decoder!;
    this.#next = null;
    decoder.flush().catch(() => {}); // a newer request has reset it
  }

  #restart(): void {
    this.#next = null;
    for (const picture of this.#ready.splice(0)) picture.close();
    if (this.#decoder?.state === "configured") this.#decoder.reset();
    if (this.#decoder?.state === "closed") this.#decoder = null;
  }

  #open(): VideoDecoder {
    if (typeof VideoDecoder === "undefined") throw new Error("the browser has no video decoder for pages");
    return new VideoDecoder({
      output: (picture) => {
        this.#ready.push(picture);
        this.#present();
      },
      error: (error) => {
        this.error.value = `the browser cannot decode ${this.#codec}: ${error.message}`;
      },
    });
  }

  /** Shows the last decoded frame that is not after the cursor; those before it were steps on the way. */
  #present(): void {
    const due = this.#ready.findLastIndex((picture) => picture.timestamp <= this.#cursor);
    if (due < 0) return;
    const passed = this.#ready.splice(0, due + 1);
    const picture = passed.pop()!;
    for (const frame of passed) frame.close();
    const old = this.shown.peek();
    this.shown.value = { time: picture.timestamp, picture };
    old?.picture.close();
  }
}
