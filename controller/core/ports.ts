import type { Result } from "../../protocol/failures.ts";
import type { Plan, TableName, Tables, TokenRow } from "./rows.ts";
import type { AuditEntry } from "./views.ts";

/** What the core asks of the world. Adapters implement these. */

/** Every row of every table, as they are on disk at the start. */
export type Saved = { readonly [Table in TableName]: readonly Tables[Table][] } & {
  /** Made with the database: peers sign it, so that a proof for one controller is none for another. */
  readonly controllerId: string;
};

/**
 * Asynchronous, and one commit at a time, so that a database across a network fits as well as a file. The store owns
 * no rule: what is unique or allowed is decided before it is asked.
 */
export interface Store extends AsyncDisposable {
  load(): Promise<Saved>;
  /** All of the plan or nothing. Resolves when it is durable, or with `store.full`, `.read-only` or `.failing`. */
  commit(plan: Plan): Promise<Result<void>>;
  /** The newest entries first, those with an id below `before`. */
  audit(page: { readonly before: number | undefined; readonly limit: number }): Promise<Result<AuditEntry[]>>;
  /** The admin tokens now: one may have been made on this host while the controller ran. */
  tokens(): Promise<Result<readonly TokenRow[]>>;
}

/** Randomness and digests, handed in so that the core has none of its own and a test can foresee them. */
export interface Makers {
  /** A random UUID. */
  id(): string;
  /** 32 random bytes in base64url. */
  nonce(): string;
  /** A secret of at least 128 random bits, in characters that survive being read aloud and pasted. */
  secret(kind: "otp" | "code" | "token"): string;
  /** SHA-256 in base64url. */
  hash(secret: string): string;
}

/** What a signed instance identity document says; the rest of it is not used. */
export interface DocumentClaims {
  readonly accountId: string;
  readonly region: string;
  readonly availabilityZone: string;
  readonly instanceId: string;
  readonly privateIp: string;
}

/** What the adapter that knows AWS's certificates found. */
export type DocumentVerdict =
  | { readonly is: "genuine"; readonly claims: DocumentClaims }
  | { readonly is: "malformed"; readonly problem: string }
  /** No certificate for the region it names. */
  | { readonly is: "untrusted"; readonly region: string }
  | { readonly is: "forged"; readonly region: string };
