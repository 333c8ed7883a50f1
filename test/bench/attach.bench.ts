import { readFileSync } from "node:fs";
import { join } from "node:path";
import { UserFiles } from "../../device/adapters/user-files.ts";
import type { LabDevice } from "../../lab/device.ts";
import type { Lab } from "../../lab/lab.ts";
import { webName } from "../../lab/services.ts";
import { startLab } from "../../lab/start.ts";
import { Asker } from "../../lab/vpc/asker.ts";
import type { Question } from "../../lab/vpc/questions.ts";
import { VpcPlace } from "../../lab/vpc-place.ts";
import { waitFor } from "../../lab/wait.ts";
import { instanceEnd } from "../../protocol/tunnel.ts";
import { temporaryFolder } from "../support/folder.ts";
import { type BenchResult, quantile, type Size, workHash } from "./bench.ts";

const rounds: Readonly<Record<Size, number>> = { small: 1, full: 20 };
const withinMs = 60_000;
/** An answer comes within a few ms; asked before the tunnel is there, none ever does. */
const answerWithinMs = 50;

/**
 * From a user's login to the first byte of a private application: the device asks, the controller places, the instance
 * grants and lets the device in, the tunnel is set up and shakes hands, the resolver answers for the application's name and
 * opens its address, the application answers. All the real processes, on machines of their own.
 */
export async function run(size: Size): Promise<BenchResult> {
  using folder = temporaryFolder();
  const place = await VpcPlace.open(join(folder.path, "hosts"));
  await using lab = await startLab({ folder: folder.path, place, instances: 1, devices: 1 });
  await waitFor("the lab to carry traffic", withinMs, async () => (await lab.lacks()).length === 0);
  const [device] = lab.devices;
  if (device?.site.host === undefined) throw new Error("the device has no host");
  await using asker = new Asker(device.site.host);
  const measured: Attach[] = [];
  for (let i = 0; i < rounds[size]; i++) measured.push(await attach(lab, device, asker));
  const median = (part: keyof Attach) =>
    quantile(
      measured.map((it) => it[part]),
      0.5,
    );
  const slowest = Math.max(...measured.map(({ wholeMs }) => wholeMs));
  return {
    rows: [
      { what: "login to the first byte, median", value: median("wholeMs"), unit: "ms" },
      { what: "login to the first byte, slowest", value: slowest, unit: "ms" },
      {
        what: "of it until the device is told where",
        value: median("toldMs"),
        unit: "ms",
        note: "the device looks every 500 ms whether its user has logged in",
      },
      { what: "of it from there to the first byte", value: median("fromThereMs"), unit: "ms" },
    ],
    work: workHash(rounds[size]),
  };
}

interface Attach {
  readonly wholeMs: number;
  readonly toldMs: number;
  readonly fromThereMs: number;
}

/** Logs out, waits until everybody knows, and logs in again. */
async function attach(lab: Lab, device: LabDevice, asker: Asker): Promise<Attach> {
  const files = new UserFiles(device.stateFolder, undefined);
  files.writeWants("detached");
  await waitFor("the logout", withinMs, async () => {
    const tunnel = device.tunnel?.();
    const [shown] = await lab.listDevices();
    return shown?.session === null && tunnel?.state === "on" && tunnel.path === null;
  });
  const begunAtMs = Date.now();
  files.writeWants("attached");
  // Of the instance's resolver, as the device's host would: libc would wait for five seconds for the first lost question.
  const url = `http://${webName}/`;
  await waitForAnswer(asker, { kind: "http", url, dns: instanceEnd.ipv4, withinMs: answerWithinMs });
  const answeredAtMs = Date.now();
  const toldAtMs = attachedAtMs(device);
  return {
    wholeMs: answeredAtMs - begunAtMs,
    toldMs: toldAtMs - begunAtMs,
    fromThereMs: answeredAtMs - toldAtMs,
  };
}

async function waitForAnswer(asker: Asker, question: Question): Promise<void> {
  const endMs = performance.now() + withinMs;
  for (;;) {
    const { answer } = await asker.ask(question);
    if (answer.ok) return;
    if (performance.now() > endMs) throw new Error(`no answer: ${answer.why}`);
  }
}

/** When the device last was told, as it wrote down. */
function attachedAtMs({ folder }: LabDevice): number {
  const lines = readFileSync(join(folder, "device.log"), "utf8").split("\n").filter(Boolean);
  const events = lines.map((line) => JSON.parse(line) as { readonly time: string; readonly msg: string });
  return Date.parse(events.findLast(({ msg }) => msg === "attached")?.time ?? "");
}
