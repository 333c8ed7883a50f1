/**
 * Grants and ends leases in a loop on a real database, until it is killed. Says on standard output what it does: `have`
 * and `granted` after the fact is on disk, `ending` before anything is done about it.
 *
 *   granting-child.ts DATABASE SEED
 */
import { writeSync } from "node:fs";
import { openStore } from "../../agent/adapters/store.ts";
import { type LeaseInput, Leases } from "../../agent/core/leases.ts";
import { systemClock } from "../../protocol/node/clock.ts";
import type { Logger } from "../../protocol/node/log.ts";
import type { SessionSpec } from "../../protocol/specs.ts";
import { Random } from "../sim/random.ts";

const [path = "", seed = "1"] = process.argv.slice(2);
const bootId = "one boot";
const devices = 60;
const ranges = ["10.0.0.0/28", "10.0.0.16/28", "10.0.0.32/28"];
const noise = () => undefined;
const log = { error: (fields: unknown) => say(`error ${JSON.stringify(fields)}`), warn: noise, info: noise };

const { store, saved } = openStore(path, { log: log as unknown as Logger });
const leases = new Leases({ saved, bootId, coolDownMs: 20 }, systemClock());
const wanted = new Map(saved.desired as Map<string, SessionSpec>);
let epoch = Math.max(
  0,
  ...[...wanted.values()].map((spec) => spec.epoch),
  ...saved.leases.map((row) => row.session?.epoch ?? 0),
);
const random = new Random(Number(seed));

const pool = { group: "staff", leaseMinutes: 60, ipv4: ranges, ipv6: ["2001:db8::/80"] };
run([
  { kind: "ranges", pools: new Map([["staff", pool]]), verified: new Set([...ranges, "2001:db8::/80"]) },
  { kind: "sessions", from: "disk", snapshot: true, set: [...wanted], over: [] },
]);
for (const id of wanted.keys()) tell("have", id);
say("ready");

for (;;) {
  const set: [string, SessionSpec][] = [];
  const over: string[] = [];
  for (let i = 0; i < 1 + random.below(8); i++) {
    const id = `s${random.below(devices)}`;
    if (over.includes(id) || set.some(([other]) => other === id)) continue;
    if (wanted.has(id) && random.below(2) === 0) {
      say(`ending ${id}`);
      over.push(id);
      wanted.delete(id);
    } else if (!wanted.has(id)) {
      epoch += 1;
      set.push([id, { epoch, device: id, user: "u", pool: "staff", wireguardKey: "A".repeat(43) }]);
    }
  }
  for (const [id, spec] of set) wanted.set(id, spec);
  run([{ kind: "sessions", from: "controller", snapshot: false, set, over }, { kind: "tick" }], set, over);
}

/** One turn of the agent: everything the inputs cost is one commit, together with the desired state they came with. */
function run(inputs: LeaseInput[], set: [string, SessionSpec][] = [], over: string[] = []): void {
  let remove: readonly string[] = over;
  let put: readonly (readonly [string, SessionSpec])[] = set;
  let queue: LeaseInput[] = inputs;
  while (queue.length > 0 || put.length + remove.length > 0) {
    const effects = queue.flatMap((input) => leases.handle(input, systemClock()));
    queue = [];
    const writes = effects.filter((effect) => effect.do === "store");
    const result = store.commit(
      {
        leases: writes.flatMap((write) => write.rows),
        forgotten: writes.flatMap((write) => write.forgotten),
        desired: { clear: false, set: put, remove },
        facts: [],
        recovered: false,
      },
      { bootId, ...systemClock() },
    );
    if (!result.ok) throw result.failure;
    put = [];
    remove = [];
    for (const effect of effects) {
      if (effect.do === "store") queue.push({ kind: "stored", effectId: effect.effectId });
      else for (const id of effect.sessions) tell("granted", id);
    }
  }
}

function tell(what: "have" | "granted", id: string): void {
  const outcome = leases.outcome(id);
  if (outcome?.outcome === "granted") say(`${what} ${id} ${outcome.epoch} ${outcome.ipv4} ${outcome.ipv6}`);
}

function say(line: string): void {
  writeSync(1, `${line}\n`);
}
