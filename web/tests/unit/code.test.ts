import { expect, test, vi } from "vitest";
import { commandOf, mcapOf, pythonOf } from "../../src/sequence/code.ts";

const VIEW = {
  name: 'it\'s "a"',
  topics: ["sensors/imu", "3d", "gps"],
  window: { from: 1796025600000000001n, to: 1796025601000000000n },
};

test("the view as Python", () => {
  expect(pythonOf(VIEW, "robot")).toBe(`from mosaicolabs import MosaicoClient

with MosaicoClient.connect("robot", 6726) as client:
    sequence = client.sequence_handler("it's \\"a\\"")
    sensors_imu = sequence.get_topic_handler("sensors/imu").to_arrow(start_timestamp_ns=1796025600000000001, end_timestamp_ns=1796025601000000000)
    topic_3d = sequence.get_topic_handler("3d").to_arrow(start_timestamp_ns=1796025600000000001, end_timestamp_ns=1796025601000000000)
    gps = sequence.get_topic_handler("gps").to_arrow(start_timestamp_ns=1796025600000000001, end_timestamp_ns=1796025601000000000)
`);
});

test("the view as a command, quoted for the shell", () => {
  expect(commandOf(VIEW, "robot")).toBe(
    `mosaico cat 'it'\\''s "a"' --topics sensors/imu 3d gps --from 2026-11-30T08:00:00.000000001Z --to 2026-11-30T08:00:01Z --host robot --port 6726`,
  );
  expect(commandOf({ name: "run-1", topics: [], window: null }, "robot")).toBe(
    "mosaico cat run-1 --host robot --port 6726",
  );
});

test("the view as an MCAP file, with the link of the page", () => {
  vi.stubGlobal("location", { search: "?link=signed" });
  expect(mcapOf({ name: "a/b", topics: ["x/y", "z"], window: { from: 1n, to: 2n } })).toBe(
    "./sequences/a%2Fb.mcap?topics=x%2Fy%2Cz&from=1&to=2&link=signed",
  );
});
