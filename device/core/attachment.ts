import type { Attachment } from "../../protocol/state.ts";
import type { Hold } from "./saved.ts";

export type Attached = Extract<Attachment, { state: "attached" }>;

/** What the user asked for: stays until the user says otherwise, also across restarts. */
export type Wants = "attached" | "detached";

export type Decision =
  | { readonly take: true; readonly hold: Hold }
  | { readonly take: false; readonly because: "same" | "older epoch" | "logged out" };

/**
 * What to do with the attachment the controller wants. Within one session a lower epoch is a word from before the last
 * move, and yields; another session is a new beginning. Being told the same again keeps the time since when it is so.
 */
export function decide(held: Hold, wants: Wants, said: Attachment, wallMs: number): Decision {
  if (wants === "detached") return { take: false, because: "logged out" };
  switch (said.state) {
    case "waiting":
      if (held.is === "waiting" && held.code === said.code) return { take: false, because: "same" };
      return { take: true, hold: { is: "waiting", code: said.code, sinceMs: wallMs } };
    case "attached":
      return decideAttached(held, said, wallMs);
  }
}

function decideAttached(held: Hold, said: Attached, wallMs: number): Decision {
  if (held.is !== "attached" || held.to.session !== said.session || said.epoch > held.to.epoch) {
    return { take: true, hold: { is: "attached", to: said, sinceMs: wallMs } };
  }
  if (said.epoch < held.to.epoch) return { take: false, because: "older epoch" };
  if (JSON.stringify(said) === JSON.stringify(held.to)) return { take: false, because: "same" };
  // The place is the same; routes, domains or name servers have changed.
  return { take: true, hold: { is: "attached", to: said, sinceMs: held.sinceMs } };
}
