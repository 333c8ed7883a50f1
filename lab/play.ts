import { z } from "zod";
import type { Fault } from "./imds/faults.ts";
import type { LabInstance } from "./instance.ts";
import type { Lab } from "./lab.ts";
import type { Process } from "./process.ts";
import type { Host } from "./vpc/host.ts";

/** What one can do to a running lab: play AWS, cut cables, let processes die, and try things as a user. */

const on = { instance: z.int().min(1).max(64) };
const FaultName = z.enum(["errors", "latency", "black-hole", "html", "disabled", "hop-limit", "flap", "lie"]);
export type FaultName = z.infer<typeof FaultName>;
export const faultNames = FaultName.options;

export const Play = z.discriminatedUnion("play", [
  z.object({ play: z.literal("assign"), ...on, prefix: z.string().max(64) }),
  z.object({ play: z.literal("unassign"), ...on, prefix: z.string().max(64) }),
  z.object({ play: z.literal("fault"), ...on, fault: FaultName, seconds: z.number().positive().optional() }),
  z.object({ play: z.literal("clear"), ...on }),
  z.object({ play: z.literal("spot"), ...on, action: z.enum(["terminate", "stop", "hibernate", "none"]) }),
  z.object({ play: z.literal("rebalance"), ...on, recommended: z.boolean() }),
  z.object({ play: z.literal("kill"), process: z.string().max(64) }),
  z.object({ play: z.literal("stop"), process: z.string().max(64) }),
  z.object({ play: z.literal("start"), process: z.string().max(64) }),
  z.object({ play: z.literal("unplug"), host: z.string().max(64) }),
  z.object({ play: z.literal("plug"), host: z.string().max(64) }),
  z.object({
    play: z.literal("ask"),
    host: z.string().max(64),
    url: z.url({ protocol: /^http$/ }).max(512),
    family: z.union([z.literal(4), z.literal(6)]),
  }),
  z.object({ play: z.literal("list") }),
]);
export type Play = z.infer<typeof Play>;

/** Does it and says what was done. @throws Error that says why it cannot be done. */
export async function act(lab: Lab, play: Play): Promise<string> {
  switch (play.play) {
    case "assign":
      instanceOf(lab, play.instance).imds.assignPrefix(play.prefix);
      return `AWS routes ${play.prefix} to instance ${play.instance}`;
    case "unassign":
      instanceOf(lab, play.instance).imds.unassignPrefix(play.prefix);
      return `AWS no longer routes ${play.prefix} to instance ${play.instance}`;
    case "fault": {
      const { seconds } = play;
      const instance = instanceOf(lab, play.instance);
      instance.imds.fault(faultOf(play.fault, instance), seconds === undefined ? undefined : seconds * 1000);
      const howLong = seconds === undefined ? `until \`clear ${play.instance}\`` : `for ${seconds} s`;
      return `the metadata service of instance ${play.instance} has the fault ${play.fault} ${howLong}`;
    }
    case "clear":
      instanceOf(lab, play.instance).imds.clearFault();
      return `the metadata service of instance ${play.instance} is well`;
    case "spot":
      instanceOf(lab, play.instance).imds.spotNotice(play.action === "none" ? undefined : play.action);
      return `spot notice for instance ${play.instance}: ${play.action}`;
    case "rebalance":
      instanceOf(lab, play.instance).imds.rebalance(play.recommended);
      return `rebalance recommendation for instance ${play.instance}: ${play.recommended ? "on" : "off"}`;
    case "kill": {
      const process = processOf(lab, play.process);
      process.signal("SIGKILL");
      return `${process.name} was killed; it is started again`;
    }
    case "stop": {
      const process = processOf(lab, play.process);
      await process.stop();
      return `${process.name} is stopped until \`start ${process.name}\``;
    }
    case "start": {
      const process = processOf(lab, play.process);
      process.start();
      return `${process.name} is started`;
    }
    case "unplug":
      await hostOf(lab, play.host).unplug();
      return `the cable of ${play.host} is cut until \`plug ${play.host}\``;
    case "plug":
      await hostOf(lab, play.host).plug();
      return `the cable of ${play.host} is whole`;
    case "ask": {
      const { host, url, family } = play;
      const [answer] = await hostOf(lab, host).ask({ kind: "http", url, family, withinMs: 5_000 });
      if (!answer.ok) throw new Error(`no answer: ${answer.why}`);
      return answer.text;
    }
    case "list":
      return lab.processes.map(line).join("\n");
  }
}

function instanceOf(lab: Lab, ordinal: number): LabInstance {
  const instance = lab.instances.find(({ plan }) => plan.ordinal === ordinal);
  if (instance === undefined) throw new RangeError(`there is no instance ${ordinal}`);
  return instance;
}

function processOf(lab: Lab, name: string): Process {
  const process = lab.processes.find((candidate) => candidate.name === name);
  const names = lab.processes.map((candidate) => candidate.name).join(", ");
  if (process === undefined) throw new RangeError(`there is no process ${name}; there are ${names}`);
  return process;
}

function hostOf(lab: Lab, name: string): Host {
  const member = lab.members.find(({ process }) => process.name === name);
  if (member === undefined) processOf(lab, name);
  if (member?.site.host === undefined)
    throw new Error(`${name} has no cable and no packets; ${lab.place.about}`);
  return member.site.host;
}

function faultOf(name: FaultName, { ec2 }: LabInstance): Fault {
  switch (name) {
    case "errors":
      return { kind: "status", status: 503 };
    case "latency":
      return { kind: "latency", delayMs: 800 };
    case "black-hole":
      return { kind: "blackHole" };
    case "html":
      return { kind: "html" };
    case "disabled":
      return { kind: "disabled" };
    case "hop-limit":
      return { kind: "hopLimit" };
    case "flap":
      return { kind: "flap" };
    case "lie":
      return { kind: "lie", mac: ec2.interfaces[0].mac, prefixes: ["172.18.138.240/28"] };
  }
}

function line({ name, pid, logFile }: Process): string {
  return `${name.padEnd(16)} ${(pid === undefined ? "down" : `pid ${pid}`).padEnd(12)} ${logFile}`;
}
