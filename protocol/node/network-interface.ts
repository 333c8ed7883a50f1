import { failed, type Result, success } from "../failures.ts";
import { type NetworkPlan, type NetworkReading, networkChange, type Route } from "../network.ts";
import type { Run } from "./command.ts";

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
    if (!held.ok) return held;
    const lines = networkChange(this.name, held.value, plan);
    if (lines.length === 0) return success(undefined);
    const done = await this.#run(["ip", "-batch", "-"], { input: `${lines.join("\n")}\n` });
    if (done.ok) return success(undefined);
    return failed("datapath.failing", {
      ...done.failure.facts,
      ...brokenLine(done.failure.facts.error, lines),
    });
  }

  async read(): Promise<Result<NetworkReading>> {
    const [link, ipv4, ipv6] = await Promise.all([
      this.#ask(["address", "show", "dev", this.name]),
      this.#ask(["-4", "route", "show", "table", "main", "dev", this.name]),
      this.#ask(["-6", "route", "show", "table", "main", "dev", this.name]),
    ]);
    if (!link.ok) return link;
    if (!ipv4.ok) return ipv4;
    if (!ipv6.ok) return ipv6;
    const [state] = link.value as IpLink[];
    if (state === undefined)
      return failed("datapath.failing", { command: "ip address show", error: "no interface" });
    return success({
      up: state.flags.includes("UP"),
      mtu: state.mtu,
      addresses: state.addr_info
        .filter(({ scope }) => scope !== "link")
        .map(({ local, prefixlen }) => `${local}/${prefixlen}`),
      routes: [
        ...(ipv4.value as IpRoute[]).flatMap(routeOf(4)),
        ...(ipv6.value as IpRoute[]).flatMap(routeOf(6)),
      ],
    });
  }

  async #ask(what: readonly string[]): Promise<Result<unknown[]>> {
    const command = ["ip", "-json", ...what];
    const answer = await this.#run(command);
    if (!answer.ok) return answer;
    try {
      const value: unknown = JSON.parse(answer.value || "[]");
      if (Array.isArray(value)) return success(value);
    } catch {
      // Told below.
    }
    return failed("datapath.failing", { command: command.join(" "), error: "the answer is no JSON list" });
  }
}

interface IpLink {
  readonly flags: readonly string[];
  readonly mtu: number;
  readonly addr_info: readonly {
    readonly local: string;
    readonly prefixlen: number;
    readonly scope: string;
  }[];
}

interface IpRoute {
  readonly dst: string;
  readonly protocol?: string;
  readonly prefsrc?: string;
}

/** As canonical prefixes, without what the kernel made itself. */
function routeOf(family: 4 | 6): (route: IpRoute) => Route[] {
  const [everywhere, hostLength] = family === 4 ? ["0.0.0.0/0", 32] : ["::/0", 128];
  return ({ dst, protocol, prefsrc }) => {
    if (protocol === "kernel") return [];
    const to = dst === "default" ? everywhere : dst.includes("/") ? dst : `${dst}/${hostLength}`;
    return [{ to, source: prefsrc }];
  };
}

/** `Command failed -:3`: which of the lines it was. */
function brokenLine(error: unknown, lines: readonly string[]): { line?: string } {
  const line = lines[Number(/Command failed -:(\d+)/.exec(String(error))?.[1]) - 1];
  return line === undefined ? {} : { line };
}
