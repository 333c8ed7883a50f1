import { spawn } from "node:child_process";
import type { Socket } from "node:net";
import { removal } from "./namespaces.ts";

/** Standard input ends when whoever held its other end has ended, however that came about. */
const script = `cat
set -- $(ip netns list | while read -r name _; do case "$name" in "$0"*) echo "$name" ;; esac; done)
${removal}`;

/**
 * Waits for the end of this process, and then ends what runs in the namespaces whose names begin so, and removes these:
 * wireguard-go and dnsmasq outlive the agent that started them, and nothing of the lab may. It is of a session of its
 * own, so that what is sent to the lab's terminal does not reach it; if it is killed too, the next start cleans up.
 */
export function startJanitor(prefix: string): void {
  const janitor = spawn("sh", ["-c", script, prefix], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  janitor.unref();
  // A pipe of a child is a socket; waiting keeps no lab alive.
  (janitor.stdin as Socket).unref();
}
