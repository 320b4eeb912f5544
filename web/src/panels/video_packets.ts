/** Packets of H.264 and HEVC in the form of Annex B: start codes between units. */

export type VideoCodec = "h264" | "h265";

const SPS_H264 = 7;
const IDR_H264 = 5;
const SPS_HEVC = 33;
/** Pictures at which a decoder may begin: BLA, IDR, CRA. */
const FIRST_IRAP_HEVC = 16;
const LAST_IRAP_HEVC = 21;

/** The offset behind the start code of each unit. */
export function unitsOf(packet: Uint8Array): number[] {
  const offsets: number[] = [];
  for (let at = 0; at + 3 < packet.length; at += 1) {
    if (packet[at] === 0 && packet[at + 1] === 0 && packet[at + 2] === 1) {
      offsets.push(at + 3);
      at += 2;
    }
  }
  return offsets;
}

/** Whether a decoder may begin with the packet. */
export function isKey(packet: Uint8Array, codec: VideoCodec): boolean {
  return unitsOf(packet).some((at) => {
    if (codec === "h264") return (packet[at]! & 31) === IDR_H264;
    const type = (packet[at]! >> 1) & 63;
    return type >= FIRST_IRAP_HEVC && type <= LAST_IRAP_HEVC;
  });
}

/** The name of the codec with profile and level, as decoders want it; null if the packet does not contain them. */
export function codecName(packet: Uint8Array, codec: VideoCodec): string | null {
  for (const at of unitsOf(packet)) {
    if (codec === "h264" && (packet[at]! & 31) === SPS_H264 && at + 3 < packet.length) {
      return `avc1.${[1, 2, 3].map((index) => packet[at + index]!.toString(16).padStart(2, "0")).join("")}`;
    }
    if (codec === "h265" && ((packet[at]! >> 1) & 63) === SPS_HEVC && at + 15 < packet.length)
      return hevcName(packet, at + 3);
  }
  return null;
}

/** From the profile, tier and level at the start of a sequence parameter set (ITU-T H.265, 7.3.3). */
function hevcName(packet: Uint8Array, at: number): string {
  const profile = packet[at]! & 31;
  const tier = packet[at]! & 32 ? "H" : "L";
  let flags = 0;
  for (let bit = 0; bit < 32; bit += 1) flags |= ((packet[at + 1 + (bit >> 3)]! >> (7 - (bit & 7))) & 1) << bit;
  return `hev1.${profile}.${(flags >>> 0).toString(16)}.${tier}${packet[at + 11]}.B0`;
}
