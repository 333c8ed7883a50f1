import { chmodSync, existsSync, linkSync, statSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { failed, type Result, success } from "../../protocol/failures.ts";
import { Key32 } from "../../protocol/names.ts";
import { readFileIfThere, storageFailure, writeFileDurably } from "../../protocol/node/files.ts";
import {
  isKeyPair,
  type KeyPair,
  makeIdentityKey,
  makeWireguardKey,
  signText,
} from "../../protocol/node/keys.ts";
import type { Logger } from "../../protocol/node/log.ts";
import { type EnrolmentRecord, IdentityRecord, type SavedIdentity } from "../core/identity.ts";

const Private = z.object({ identityPrivateKey: Key32, wireguardPrivateKey: Key32 });
const Content = z.object({ format: z.literal(1), ...IdentityRecord.shape, ...Private.shape });
type Content = z.infer<typeof Content>;

/**
 * The identity on disk, mode 0600: both key pairs, the instance they were made on, and what the controller called it.
 * The private identity key leaves this object as signatures only, the one of WireGuard for the kernel only.
 */
export class IdentityFile {
  readonly path: string;
  readonly #log: Logger;
  #content: Content | undefined;

  constructor(stateDir: string, log: Logger) {
    this.path = join(stateDir, "identity.json");
    this.#log = log;
  }

  /**
   * Reads the file, unless an identity is in use: that stays, whatever became of its file. Others' access to the file is
   * taken away, with a warning: the keys may have been read.
   */
  load(): SavedIdentity {
    const { record } = this;
    if (record !== undefined) return { is: "saved", record };
    let text: string | undefined;
    try {
      text = readFileIfThere(this.path);
      if (text === undefined) return { is: "none" };
      this.#closeToOthers();
    } catch (error) {
      return { is: "unreadable", detail: (error as NodeJS.ErrnoException).code ?? "cannot be read" };
    }
    const content = contentOf(text);
    if (typeof content === "string") return { is: "unreadable", detail: content };
    this.#content = content;
    return { is: "saved", record: IdentityRecord.parse(content) };
  }

  /** The public side. */
  get record(): IdentityRecord | undefined {
    return this.#content === undefined ? undefined : IdentityRecord.parse(this.#content);
  }

  /** Makes both keys and has them on disk. `clonedFrom` when they take the place of a copied identity. */
  make(ec2InstanceId: string, clonedFrom?: string): Result<IdentityRecord> {
    const identity = makeIdentityKey();
    const wireguard = makeWireguardKey();
    const content: Content = {
      format: 1,
      identityKey: identity.publicKey,
      identityPrivateKey: identity.privateKey,
      wireguardKey: wireguard.publicKey,
      wireguardPrivateKey: wireguard.privateKey,
      ec2InstanceId,
      ...(clonedFrom === undefined ? {} : { clonedFrom }),
    };
    const written = this.#write(content);
    return written.ok ? success(IdentityRecord.parse(content)) : written;
  }

  saveEnrolment(enrolment: EnrolmentRecord): Result<void> {
    const content = this.#content;
    if (content === undefined) return failed("internal", { where: "no identity to enrol" });
    return this.#write({ ...content, enrolment });
  }

  /** Keeps a copied identity aside under the name of the instance it belongs to. Throws the file system's error. */
  setAside(): { ec2InstanceId: string; path: string } | undefined {
    const content = this.#content;
    if (content === undefined) return undefined;
    const path = `${this.path}.of-${content.ec2InstanceId}`;
    // A second name for the file: the new identity replaces the first one, and this one keeps the content.
    if (!existsSync(path)) linkSync(this.path, path);
    return { ec2InstanceId: content.ec2InstanceId, path };
  }

  /** What the instance's WireGuard interface is keyed with; undefined before there is an identity. */
  get wireguardKey(): KeyPair | undefined {
    const content = this.#content;
    if (content === undefined) return undefined;
    return { publicKey: content.wireguardKey, privateKey: content.wireguardPrivateKey };
  }

  /** Signs with the identity key. Throws when there is none: the core proves nothing without an identity. */
  sign(text: string): string {
    return signText(this.#key(), text);
  }

  #key(): KeyPair {
    if (this.#content === undefined) throw new Error("there is no identity to sign with");
    return { publicKey: this.#content.identityKey, privateKey: this.#content.identityPrivateKey };
  }

  #write(content: Content): Result<void> {
    try {
      writeFileDurably(this.path, `${JSON.stringify(content, undefined, 2)}\n`);
    } catch (error) {
      return { ok: false, failure: storageFailure(error, this.path) };
    }
    this.#content = content;
    return success(undefined);
  }

  #closeToOthers(): void {
    const mode = statSync(this.path).mode & 0o777;
    if ((mode & 0o077) === 0) return;
    chmodSync(this.path, 0o600);
    const fields = { path: this.path, mode: mode.toString(8) };
    this.#log.warn(fields, "others could read the identity file; it is closed now, consider enrolling again");
  }
}

/** The content, or what is wrong with it. Never a part of it: it holds keys. */
function contentOf(text: string): Content | string {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return text.trim() === "" ? "it is empty" : "it is not JSON";
  }
  const format = (json as { format?: unknown } | null)?.format;
  if (typeof format === "number" && format > 1) return "it was written by a newer version";
  const parsed = Content.safeParse(json);
  if (!parsed.success) return `its field ${parsed.error.issues[0]?.path.join(".") || "list"} is damaged`;
  const { identityKey, identityPrivateKey, wireguardKey, wireguardPrivateKey } = parsed.data;
  const belongsTogether =
    isKeyPair("Ed25519", { publicKey: identityKey, privateKey: identityPrivateKey }) &&
    isKeyPair("X25519", { publicKey: wireguardKey, privateKey: wireguardPrivateKey });
  return belongsTogether ? parsed.data : "its keys do not belong together";
}
