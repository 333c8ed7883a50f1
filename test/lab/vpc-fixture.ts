import { join } from "node:path";
import { createRegionSigner } from "../../lab/certificates.ts";
import { instanceNumbered } from "../../lab/imds/instance.ts";
import { type Imds, startImds } from "../../lab/imds/server.ts";
import { Process } from "../../lab/process.ts";
import type { Host } from "../../lab/vpc/host.ts";
import { vpcObstacle } from "../../lab/vpc/obstacle.ts";
import type { Answer } from "../../lab/vpc/questions.ts";
import { programFile } from "../../lab/vpc/sockets.ts";
import { waitFor } from "../../lab/wait.ts";

/** Why there can be no VPC here; undefined when there can. */
export const obstacle = await vpcObstacle();
export const title = (what: string) => (obstacle === undefined ? what : `${what} (skipped: ${obstacle})`);

export const signer = await createRegionSigner("us-east-1");

export function imdsOf(ordinal: number): Promise<Imds> {
  return startImds({ instance: instanceNumbered(ordinal), signer });
}

/** Who the application saw, or why there was no answer. */
export function seen(answer: Answer): string {
  return answer.ok ? JSON.parse(answer.text).address : answer.why;
}

/** One of the lab's programs on any host. */
export async function runOn(host: Host, program: "web" | "echo", ...args: string[]): Promise<Process> {
  const logFile = join(host.folder, `${program}-${args.join("-")}.log`);
  const process = new Process({
    name: `${host.name}-${program}`,
    args: [programFile(program), ...args],
    command: host.command(),
    logFile,
  });
  process.start();
  // TCP and UDP.
  const listening = program === "echo" ? 2 : 1;
  await waitFor(`${program} on ${host.name}`, 15_000, () => {
    return (process.log().match(/^listening/gm)?.length ?? 0) >= listening;
  });
  return process;
}

/** Runs a shell script on a host and returns what it wrote, whatever its end. */
export async function shell(host: Host, script: string): Promise<string> {
  const ran = await host.run(["sh", "-c", `(${script}) 2>&1; true`]);
  if (!ran.ok) throw ran.failure;
  return ran.value.trim();
}
