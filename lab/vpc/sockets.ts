// A socket belongs to the network namespace it was made in, whichever process holds it, and Node hands listening sockets
// from one process to another. So a port in a namespace can be served by the lab, and a port of the machine by a host.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer, Server } from "node:net";
import { join } from "node:path";
import { compileCache } from "../process.ts";

export interface Door {
  readonly port: number;
  close(): Promise<void>;
}

/** The path of a program that runs on hosts. */
export function programFile(name: "ask" | "caller" | "door" | "echo" | "listen" | "request" | "web"): string {
  return join(import.meta.dirname, "programs", `${name}.ts`);
}

/** Listens on the machine's loopback, and has a host (`command` runs Node there) carry what arrives to `address`. */
export async function openDoor(command: readonly string[], address: string, port: number): Promise<Door> {
  const listening = createServer().listen(0, "127.0.0.1");
  await once(listening, "listening");
  const here = (listening.address() as AddressInfo).port;
  const child = startProgram([...command, programFile("door"), address, String(port)]);
  const ready = message(child);
  child.send("socket", listening);
  await ready;
  listening.close();
  child.unref();
  child.channel?.unref();
  return {
    port: here,
    close: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}

/** A listening socket in a namespace (`command` runs Node there), all its addresses, on a port that was free. */
export async function listenInside(command: readonly string[]): Promise<Server> {
  const child = startProgram([...command, programFile("listen")]);
  const handle = await message(child);
  child.disconnect();
  if (!(handle instanceof Server)) throw new Error("the namespace gave no socket");
  return handle;
}

/** One of them, by the command that runs it on its host. It talks with the lab over a channel, and ends with it. */
export function startProgram(command: readonly string[]): ChildProcess {
  return spawn("setpriv", ["--pdeathsig", "KILL", ...command], {
    stdio: ["ignore", "ignore", "ignore", "ipc"],
    env: { ...compileCache, ...process.env },
  });
}

/** The handle that came with the child's first message. @throws Error when the child ends without one. */
function message(child: ChildProcess): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  child.once("message", (_, handle) => resolve(handle));
  child.once("error", reject);
  child.once("exit", (code, signal) =>
    reject(new Error(`a helper in a namespace ended with ${signal ?? code}`)),
  );
  return promise;
}
