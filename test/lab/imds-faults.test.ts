import { expect, test } from "vitest";
import { ask, macsPath, reader, start, tokenOf } from "./imds-fixture.ts";

const idPath = "/latest/meta-data/instance-id";

/** Runs a request until the emulator has seen it, then gives it up. */
async function answersNever(sent: Promise<unknown>, seen: () => boolean): Promise<boolean> {
  let answered = false;
  sent.then(
    () => {
      answered = true;
    },
    () => undefined,
  );
  await expect.poll(seen, { timeout: 10_000 }).toBe(true);
  return !answered;
}

test("5xx for a path pattern and for a while, with EC2's error page", async () => {
  let nowMs = 0;
  await using imds = await start({ now: () => nowMs });
  const get = await reader(imds);
  imds.fault({ kind: "status", status: 503, path: /\/macs/ }, 10_000);
  expect((await get(idPath)).status).toBe(200);
  expect(await get(macsPath)).toMatchObject({ status: 503, headers: { server: "EC2ws" } });
  nowMs = 9_999;
  expect((await get(`//latest//meta-data/network/interfaces/macs/`)).status).toBe(503);
  nowMs = 10_000;
  expect((await get(macsPath)).status).toBe(200);
});

test("a second fault of a kind replaces the first", async () => {
  await using imds = await start();
  imds.fault({ kind: "status", status: 500 });
  imds.fault({ kind: "status", status: 429, path: /macs/g });
  const get = await reader(imds);
  expect((await get(idPath)).status).toBe(200);
  for (let i = 0; i < 3; i++) expect((await get(macsPath)).status).toBe(429);
});

test("the token alone can fail, while tokens from before work", async () => {
  await using imds = await start();
  const get = await reader(imds);
  imds.fault({ kind: "status", status: 500, path: /^\/latest\/api\/token$/ });
  await expect(tokenOf(imds)).rejects.toThrow("500");
  expect((await get(idPath)).status).toBe(200);
});

test("switched off: 403 for everything, also with a token from before", async () => {
  await using imds = await start();
  const get = await reader(imds);
  imds.fault({ kind: "disabled" });
  expect((await get(idPath)).status).toBe(403);
  expect(
    (await ask(imds, "PUT", "/latest/api/token", { "X-aws-ec2-metadata-token-ttl-seconds": "60" })).status,
  ).toBe(403);
});

test("a captive portal: 200 and HTML of someone else, even for a token", async () => {
  await using imds = await start();
  imds.fault({ kind: "html" });
  const answer = await ask(imds, "PUT", "/latest/api/token", {
    "X-aws-ec2-metadata-token-ttl-seconds": "60",
  });
  expect(answer).toMatchObject({ status: 200, headers: { "content-type": "text/html" } });
  expect(answer.headers.server).toBeUndefined();
  expect(answer.body).toContain("Please sign in");
});

test("latency delays the answer and does not change it", async () => {
  await using imds = await start();
  const get = await reader(imds);
  imds.fault({ kind: "latency", delayMs: 80, path: /instance-id$/ });
  const startedMs = performance.now();
  expect((await get(idPath)).body).toBe("i-0e306ccdf94a1b201");
  expect(performance.now() - startedMs).toBeGreaterThanOrEqual(75);
});

test("black hole: connections are taken, answers never come, closing the emulator ends them", async () => {
  const imds = await start();
  const token = await tokenOf(imds);
  imds.fault({ kind: "blackHole" });
  const sent = ask(imds, "GET", idPath, { "X-aws-ec2-metadata-token": token });
  expect(
    await answersNever(sent, () =>
      imds.requests.some((seen) => seen.target === idPath && seen.status === undefined),
    ),
  ).toBe(true);
  await imds[Symbol.asyncDispose]();
  await expect(sent).rejects.toThrow();
});

test("hop limit: the token's answer is lost, a token from before still works", async () => {
  await using imds = await start();
  const get = await reader(imds);
  imds.fault({ kind: "hopLimit" });
  const lost = tokenOf(imds);
  expect(await answersNever(lost, () => imds.requests.at(-1)?.status === undefined)).toBe(true);
  expect((await get(idPath)).status).toBe(200);
  await imds[Symbol.asyncDispose]();
  await expect(lost).rejects.toThrow();
});
