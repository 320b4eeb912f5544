import { beforeEach, expect, test, vi } from "vitest";
import { followEvents } from "../../src/api/events.ts";
import { ApiError, call, callJson, refused, setKey } from "../../src/api/http.ts";

const store = new Map<string, string>();
const fetched = vi.fn<(url: string, init: RequestInit) => Promise<Response>>();

beforeEach(() => {
  store.clear();
  fetched.mockReset();
  vi.stubGlobal("fetch", fetched);
  vi.stubGlobal("location", { search: "" });
  vi.stubGlobal("sessionStorage", {
    getItem: (key: string) => store.get(key) ?? null,
    setItem: (key: string, value: string) => store.set(key, value),
    removeItem: (key: string) => store.delete(key),
  });
});

test("a key is sent as a header, a link as a parameter", async () => {
  fetched.mockImplementation(async () => new Response("{}"));
  setKey("secret");
  vi.stubGlobal("location", { search: "?link=a%2Bb" });
  await callJson("sequences", { parameters: { limit: 5, cursor: null, where: "" } });
  const [url, init] = fetched.mock.calls[0]!;
  expect(url).toBe("./api/v1/sequences?limit=5&link=a%2Bb");
  expect(init.headers).toMatchObject({ authorization: "Bearer secret" });
});

test("an error of the daemon has its code and text", async () => {
  const body = JSON.stringify({ error: { code: "sequence_not_found", message: "sequence `x` does not exist" } });
  fetched.mockImplementation(async () => new Response(body, { status: 404, headers: { "x-request-id": "01J" } }));
  await expect(call("sequences/x")).rejects.toMatchObject({
    code: "sequence_not_found",
    status: 404,
    requestId: "01J",
  });
});

test("refused credentials make the page ask for a key; what is no JSON has a text too", async () => {
  fetched.mockImplementation(async () => new Response("<html>", { status: 403 }));
  await expect(call("info")).rejects.toThrow("status 403");
  expect(refused.value).toBe(true);
  setKey(null);
  expect(refused.value).toBe(false);
});

test("a limit is waited for, and not forever", async () => {
  vi.useFakeTimers();
  const busy = () =>
    new Response('{"error": {"code": "too_many", "message": "busy"}}', {
      status: 429,
      headers: { "retry-after": "2" },
    });
  fetched.mockImplementationOnce(async () => busy()).mockImplementationOnce(async () => new Response("{}"));
  const answer = callJson("info");
  await vi.advanceTimersByTimeAsync(1900);
  expect(fetched).toHaveBeenCalledTimes(1);
  await vi.advanceTimersByTimeAsync(200);
  await expect(answer).resolves.toEqual({});
  fetched.mockReset();
  fetched.mockImplementation(async () => busy());
  const refusal = expect(callJson("info")).rejects.toMatchObject({ code: "too_many" });
  await vi.advanceTimersByTimeAsync(20_000);
  await refusal;
  expect(fetched).toHaveBeenCalledTimes(4);
  vi.useRealTimers();
});

test("a call that is no longer needed does not wait for a limit", async () => {
  const controller = new AbortController();
  fetched.mockImplementation(async (_url, init) => {
    init.signal?.throwIfAborted();
    return new Response("", { status: 429, headers: { "retry-after": "5" } });
  });
  const started = performance.now();
  const answer = expect(call("info", { signal: controller.signal })).rejects.toMatchObject({ name: "AbortError" });
  await vi.waitFor(() => expect(fetched).toHaveBeenCalledTimes(1));
  controller.abort();
  await answer;
  expect(performance.now() - started).toBeLessThan(3000);
});

test("a refused event stream is not asked for again", async () => {
  fetched.mockImplementation(async () => new Response("", { status: 403 }));
  const connected = vi.fn();
  await followEvents(() => {}, connected, new AbortController().signal);
  expect(fetched).toHaveBeenCalledTimes(1);
  expect(connected).not.toHaveBeenCalled();
});

test("no answer at all is an error with what to do", async () => {
  fetched.mockRejectedValue(new TypeError("fetch failed"));
  await expect(call("info")).rejects.toBeInstanceOf(ApiError);
  await expect(call("info")).rejects.toMatchObject({ code: "unreachable" });
});
