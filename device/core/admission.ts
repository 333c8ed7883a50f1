import type { FailureCode } from "../../protocol/failures.ts";
import type { Secret } from "../../protocol/secret.ts";
import type { Membership, Standing } from "./saved.ts";

/** A device proves its key; the first time, together with the code that invites it. */
export type Proof = { readonly as: "device" } | { readonly as: "guest"; readonly code: Secret };

/** What this device can say for itself: its standing with the controller, and the code it was given. */
export class Admission {
  #standing: Standing;
  #code: Secret | undefined;
  #provedAs: Proof["as"] | undefined;
  /** The save that carries the membership to disk, until it has: before that the code is still needed. */
  #unsavedIn: number | undefined;

  constructor(standing: Standing, code: Secret | undefined) {
    this.#standing = standing;
    this.#code = code;
  }

  get standing(): Standing {
    return this.#standing;
  }

  get canProve(): boolean {
    return this.#standing.is === "member" || this.#code !== undefined;
  }

  /** A member has no use for a code, unless the controller disowns it. */
  prove(): Proof {
    const code = this.#standing.is === "member" ? undefined : this.#code;
    const proof: Proof = code === undefined ? { as: "device" } : { as: "guest", code };
    this.#provedAs = proof.as;
    return proof;
  }

  /** True when this is a code that was not tried yet. */
  offer(code: Secret | undefined): boolean {
    const isNew = code !== undefined && code.reveal() !== this.#code?.reveal();
    this.#code = code;
    return isNew;
  }

  /** `saveId`: the save that follows. */
  joined(as: Membership, saveId: number): void {
    this.#standing = { is: "member", as };
    this.#unsavedIn = saveId;
  }

  /** The controller knows the key. True when that is news and must be saved, in `saveId`. */
  welcomed(saveId: number): boolean {
    if (this.#standing.is === "member") return false;
    this.#standing = { is: "member" };
    this.#unsavedIn = saveId;
    return true;
  }

  /** Every save after the first holds the membership too. */
  saved(saveId: number): void {
    if (this.#unsavedIn !== undefined && saveId >= this.#unsavedIn) this.#unsavedIn = undefined;
  }

  /** Takes the code away once nothing can need it again. True when there was one. */
  spendCode(): boolean {
    const isSpent =
      this.#standing.is === "member" && this.#unsavedIn === undefined && this.#code !== undefined;
    if (isSpent) this.#code = undefined;
    return isSpent;
  }

  /** The controller will not have this device. `try code`: what it refused was the key alone, and there is a code. */
  refused(why: FailureCode): "try code" | "stop" {
    if (why !== "link.removed" && why !== "link.identity-unknown") return "stop";
    this.#standing = { is: "disowned" };
    return this.#provedAs === "device" && this.#code !== undefined ? "try code" : "stop";
  }
}
