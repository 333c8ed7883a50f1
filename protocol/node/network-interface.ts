import { failed, type Result, success } from "../failures.ts";
import { type NetworkPlan, type NetworkReading, networkChange } from "../network.ts";
import type { Run } from "./command.ts";
import { networkReading } from "./ip-text.ts";

/** A change of thousands of routes takes a second. */
const changeWithinMs = 30_000;

/** One interface as `ip` sees it: its addresses and the routes of the main table that leave by it. */
export class NetworkInterface {
  readonly name: string;
  readonly #run: Run;

  constructor(name: string, run: Run) {
    this.name = name;
    this.#run = run;
  }

  /** Brings the interface to the plan, from whatever it is now. Read afterwards. */
  async apply(plan: NetworkPlan): Promise<Result<void>> {
    const held = await this.read();
    return held.ok ? this.change(held.value, plan) : held;
  }

  /**
   * The same from what was just read. Each command stands for itself: where one fails the others are done all the same, so
   * that a host without IPv6 has its IPv4, and the first that failed is told.
   */
  async change(held: NetworkReading, plan: NetworkPlan): Promise<Result<void>> {
    const lines = networkChange(this.name, held, plan);
    if (lines.length === 0) return success(undefined);
    const options = { input: `${lines.join("\n")}\n`, timeoutMs: changeWithinMs };
    const done = await this.#run(["ip", "-force", "-batch", "-"], options);
    if (done.ok) return success(undefined);
    return failed("datapath.failing", {
      ...done.failure.facts,
      ...brokenLine(done.failure.facts.error, lines),
    });
  }

  async read(): Promise<Result<NetworkReading>> {
    const [links, ipv4, ipv6] = await Promise.all([
      this.#ask(["address", "show"]),
      this.#ask(["-4", "route", "show", "table", "main"]),
      this.#ask(["-6", "route", "show", "table", "main"]),
    ]);
    if (!links.ok) return links;
    if (!ipv4.ok) return ipv4;
    if (!ipv6.ok) return ipv6;
    try {
      const reading = networkReading(this.name, links.value, { 4: ipv4.value, 6: ipv6.value });
      if (reading !== undefined) return success(reading);
    } catch (error) {
      return failed(
        "datapath.failing",
        { command: "ip -json", error: "the answer is not understood" },
        error,
      );
    }
    return failed("datapath.failing", { command: "ip address show", error: `no interface ${this.name}` });
  }

  async #ask(what: readonly string[]): Promise<Result<string>> {
    return this.#run(["ip", "-json", ...what]);
  }
}

/** `Command failed -:3`: which of the lines it was. */
function brokenLine(error: unknown, lines: readonly string[]): { line?: string } {
  const line = lines[Number(/Command failed -:(\d+)/.exec(String(error))?.[1]) - 1];
  return line === undefined ? {} : { line };
}
