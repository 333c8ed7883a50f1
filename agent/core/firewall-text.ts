import { type Chain, type Firewall, priorityOf } from "./firewall.ts";
import type { HeldCounter, HeldFirewall } from "./firewall-held.ts";
import { type Learned, learnedMax, learnedSets } from "./firewall-learned.ts";
import { markText } from "./firewall-marks.ts";
import { commentText } from "./firewall-names.ts";

const table = "inet connector";

/** What a table has by itself, and its successor should have too. */
export type Carried = Pick<HeldFirewall, "counters" | "learned">;

const nothing: Carried = { counters: new Map(), learned: new Map() };

/**
 * The whole table as nft text. One file is one transaction: the kernel goes from the old table to this one without a
 * moment in between, and connections that are established stay so. What was learned and counted is carried over.
 */
export function tableText(firewall: Firewall, carried: Carried = nothing): string {
  const { counters, learned } = carried;
  return [
    `add table ${table}`,
    `delete table ${table}`,
    `table ${table} {`,
    ...[...firewall.counters].flatMap(([name, comment]) => counterLines(name, comment, counters.get(name))),
    ...[4, 6].flatMap((family) => [`  map users${family} {`, `    type ipv${family}_addr : verdict`, "  }"]),
    ...["  set opened {", "    type mark", '    comment "connections that something lets through"', "  }"],
    ...[...firewall.ports].flatMap(portLines),
    ...[...firewall.domains].flatMap(setLines),
    ...[...firewall.chains.values()].flatMap(chainLines),
    "}",
    ...markLines("add", firewall.marks),
    ...userLines("add", firewall.users),
    ...[...firewall.domains].flatMap((domain) => learnedLines(domain, learned)),
    "",
  ].join("\n");
}

/**
 * What changes from one firewall to the next, as nft text of one transaction: users that come and go, chains whose
 * rules differ, names that appear and vanish. Undefined when nothing does.
 */
export function changeText(from: Firewall, to: Firewall): string | undefined {
  const chains = [...to.chains.values()].filter((chain) => !sameRules(from.chains.get(chain.name), chain));
  const gone = missingIn(from.chains, to.chains);
  const counters = missingIn(to.counters, from.counters);
  const domains = without(to.domains, from.domains);
  const added = [
    ...counters.flatMap((name) => counterLines(name, to.counters.get(name) ?? "")),
    ...missingIn(to.ports, from.ports).flatMap((name) => portLines([name, to.ports.get(name) ?? ""])),
    ...domains.flatMap(setLines),
    ...chains.flatMap(chainLines),
  ];
  const lines = [
    ...chains.filter(({ name }) => from.chains.has(name)).map(({ name }) => `flush chain ${table} ${name}`),
    ...(added.length === 0 ? [] : [`table ${table} {`, ...added, "}"]),
    ...markLines("delete", without(from.marks, to.marks)),
    ...markLines("add", without(to.marks, from.marks)),
    ...userLines("delete", differing(from.users, to.users)),
    ...userLines("add", differing(to.users, from.users)),
    ...gone.map((name) => `flush chain ${table} ${name}`),
    // Those that send to others first: a chain that is still sent to cannot be deleted.
    ...gone.toReversed().map((name) => `delete chain ${table} ${name}`),
    ...without(from.domains, to.domains)
      .flatMap(learnedSets)
      .flatMap(({ now, before }) => [`delete set ${table} ${now}`, `delete set ${table} ${before}`]),
    ...missingIn(from.ports, to.ports).map((name) => `delete set ${table} ${name}`),
    ...missingIn(from.counters, to.counters).map((name) => `delete counter ${table} ${name}`),
  ];
  return lines.length === 0 ? undefined : `${lines.join("\n")}\n`;
}

/** Whether only users come and go from one firewall to the next. */
export function isSameButUsers(from: Firewall, to: Firewall): boolean {
  return (
    from.chains.size === to.chains.size &&
    [...to.chains.values()].every((chain) => sameRules(from.chains.get(chain.name), chain)) &&
    missingIn(from.counters, to.counters).length + missingIn(to.counters, from.counters).length === 0 &&
    missingIn(from.ports, to.ports).length + missingIn(to.ports, from.ports).length === 0 &&
    without(from.domains, to.domains).length + without(to.domains, from.domains).length === 0 &&
    without(from.marks, to.marks).length + without(to.marks, from.marks).length === 0
  );
}

function counterLines(name: string, comment: string, counted?: HeldCounter): string[] {
  const { packets, bytes } = counted ?? { packets: 0, bytes: 0 };
  return [
    `  counter ${name} {`,
    `    comment "${commentText(comment)}"`,
    `    packets ${packets} bytes ${bytes}`,
    "  }",
  ];
}

/**
 * No element has a time-out. The flag makes the kernel choose a table that grows: for a size and nothing else it takes
 * memory for that many at once, 0.7 MB a set (Linux 6.18, measured: one second for fifty domains).
 */
function setLines(domain: string): string[] {
  return learnedSets(domain).flatMap(({ family, now, before }) =>
    [now, before].flatMap((set) => [
      `  set ${set} {`,
      `    type ipv${family}_addr`,
      "    flags timeout",
      `    size ${learnedMax}`,
      `    comment "${commentText(domain)}"`,
      "  }",
    ]),
  );
}

function portLines([name, ports]: readonly [name: string, ports: string]): string[] {
  return [
    `  set ${name} {`,
    "    type inet_service",
    "    flags interval",
    `    elements = { ${ports} }`,
    "  }",
  ];
}

function chainLines({ name, comment, hook, rules }: Chain): string[] {
  return [
    `  chain ${name} {`,
    ...(comment === "" ? [] : [`    comment "${commentText(comment)}"`]),
    ...(hook === undefined
      ? []
      : [`    type filter hook ${hook} priority ${priorityOf[hook].name}; policy accept;`]),
    ...rules.map(({ text, comment }) =>
      comment === undefined ? `    ${text}` : `    ${text} comment "${commentText(comment)}"`,
    ),
    "  }",
  ];
}

function markLines(verb: "add" | "delete", marks: Iterable<number>): string[] {
  const texts = [...marks].map(markText);
  return texts.length === 0 ? [] : [`${verb} element ${table} opened { ${texts.join(", ")} }`];
}

function userLines(verb: "add" | "delete", users: ReadonlyMap<string, string>): string[] {
  const texts: Record<4 | 6, string[]> = { 4: [], 6: [] };
  for (const [address, chain] of users) {
    texts[address.includes(":") ? 6 : 4].push(verb === "add" ? `${address} : goto ${chain}` : address);
  }
  return ([4, 6] as const)
    .filter((family) => texts[family].length > 0)
    .map((family) => `${verb} element ${table} users${family} { ${texts[family].join(", ")} }`);
}

function learnedLines(domain: string, learned: Learned): string[] {
  return learnedSets(domain)
    .flatMap(({ now, before }) => [now, before])
    .flatMap((set) => {
      const addresses = learned.get(set) ?? [];
      return addresses.length === 0 ? [] : [`add element ${table} ${set} { ${addresses.join(", ")} }`];
    });
}

function sameRules(a: Chain | undefined, b: Chain): boolean {
  return (
    a?.rules.length === b.rules.length &&
    a.rules.every(({ text, comment }, i) => text === b.rules[i]?.text && comment === b.rules[i]?.comment)
  );
}

function without<T>(a: ReadonlySet<T>, b: ReadonlySet<T>): T[] {
  return [...a].filter((value) => !b.has(value));
}

function missingIn(a: ReadonlyMap<string, unknown>, b: ReadonlyMap<string, unknown>): string[] {
  return [...a.keys()].filter((name) => !b.has(name));
}

function differing(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): Map<string, string> {
  return new Map([...a].filter(([address, chain]) => b.get(address) !== chain));
}
