import { type Failure, failed, type Result, success } from "../protocol/failures.ts";
import { Name } from "../protocol/names.ts";
import { systemClock } from "../protocol/node/clock.ts";
import { makers } from "./adapters/makers.ts";
import { openStoreBeside } from "./adapters/store.ts";
import { decideCommand } from "./core/decide.ts";
import { Fleet } from "./core/fleet.ts";
import { Judge } from "./core/judge.ts";
import { Model } from "./core/model.ts";
import { Peers } from "./core/peers.ts";
import { put } from "./core/rows.ts";
import { coreDefaults } from "./core/settings.ts";
import { Views } from "./core/show.ts";
import type { TokenCreated } from "./core/views.ts";

/**
 * Makes an admin token straight in the database of this host's controller, which may be running: it looks into the
 * database when it meets a token it does not know. For the first token, and for an operator who lost the last one;
 * whoever may write the state directory may do this.
 */
export async function createTokenLocally(stateDir: string, name: string): Promise<Result<TokenCreated>> {
  if (!Name.safeParse(name).success) return failed("admin.invalid", { field: "name", problem: "is no name" });
  let store: ReturnType<typeof openStoreBeside>;
  try {
    store = openStoreBeside(stateDir);
  } catch (error) {
    return { ok: false, failure: error as Failure };
  }
  await using open = store;
  const tokens = await open.tokens();
  if (!tokens.ok) return tokens;
  const model = new Model();
  for (const row of tokens.value) model.apply(put("token", row));
  const now = systemClock();
  const fleet = new Fleet();
  const judge = new Judge({ model, fleet, peers: new Peers() }, coreDefaults, now);
  const views = new Views({ model, fleet, judge, restartUntilMs: () => undefined }, () => now);
  const context = { model, views, makers, actor: "local", nowMs: now.wallMs };
  const decision = decideCommand({ command: "token.create", name }, context);
  if (!decision.ok) return decision;
  const stored = await open.commit(decision.value.plan);
  return stored.ok ? success(decision.value.answer(views) as TokenCreated) : stored;
}
