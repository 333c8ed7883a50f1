/**
 * A resolver of a user who may have no name. Prints why there is none, and lives on when its servers turn out to be silent.
 *
 *   nameless-child.ts FOLDER
 */
import { Resolver } from "../../agent/adapters/resolver.ts";
import { keepingLog } from "../support/quiet-log.ts";
import { until } from "../support/until.ts";

const [, , folder = ""] = process.argv;
const { log } = keepingLog();
let changes = 0;
await using resolver = new Resolver({ folder, log, onChange: () => changes++ });
await resolver.apply({
  dns: { primary: "127.0.0.2", secondary: "127.0.0.3" },
  resources: new Map(),
  tunnel: { interface: "ct-none", ipv4: "127.0.0.9", ipv6: undefined, port: 51_820 },
});
await until("both are silent", () => changes > 0);
// What that led to is done, or has ended the process.
await resolver.apply({
  dns: undefined,
  resources: new Map(),
  tunnel: { interface: "ct-none", ipv4: "127.0.0.9", ipv6: undefined, port: 51_820 },
});
console.log("lives on");
