import { z } from "zod";
import { limits } from "./limits.ts";
import {
  Code,
  Ec2InstanceId,
  EpochMs,
  Id,
  Ipv4,
  Key32,
  Name,
  Signature64,
  SoftwareVersion,
} from "./names.ts";

/**
 * Every message, as JSON text frames of one WebSocket at `/link`. README.md tells the conversation in prose; the
 * examples in `fixtures/` are run by both sides.
 */

const Role = z.enum(["agent", "device"]);
export type Role = z.infer<typeof Role>;

const Version = z.int().min(1).max(1_000_000);

/** What a peer that proves itself always says. The signature is over `proofText` with the identity key. */
const Proof = {
  version: Version,
  minimumVersion: Version,
  identityKey: Key32,
  signature: Signature64,
  software: SoftwareVersion,
  wallMs: EpochMs,
};

/** Controller, first: prove who you are by signing this nonce. */
const Challenge = z.object({
  type: z.literal("challenge"),
  nonce: Key32,
  version: Version,
  minimumVersion: Version,
  controller: Id,
  wallMs: EpochMs,
});
export type Challenge = z.infer<typeof Challenge>;

/** An enrolled agent or joined device proves its identity key. */
const Hello = z.object({
  type: z.literal("hello"),
  role: Role,
  ...Proof,
  /** WireGuard keys may be made anew; the controller takes the one said last. */
  wireguardKey: Key32,
});
export type Hello = z.infer<typeof Hello>;

/** An agent asks to become an instance of the connector its one-time password was made for. */
const Enrol = z.object({
  type: z.literal("enrol"),
  ...Proof,
  otp: z.string().min(16).max(128),
  wireguardKey: Key32,
  /** The instance identity document, byte for byte as the metadata service gave it, and its `signature`. */
  document: z.string().min(2).max(8192),
  documentSignature: z.string().min(16).max(2048),
  ec2InstanceId: Ec2InstanceId,
  managementIp: Ipv4,
  /** Claims about the interface: AWS does not sign these. */
  vpcId: z.string().regex(/^vpc-[0-9a-f]{8,17}$/),
  subnetId: z.string().regex(/^subnet-[0-9a-f]{8,17}$/),
});
export type Enrol = z.infer<typeof Enrol>;

/** A device asks to become the device of the user its join code was made for. */
const Join = z.object({
  type: z.literal("join"),
  ...Proof,
  code: z.string().min(16).max(128),
  wireguardKey: Key32,
  name: Name,
});
export type Join = z.infer<typeof Join>;

const Enrolled = z.object({
  type: z.literal("enrolled"),
  instance: Id,
  name: Name,
  connector: Name,
});

const Joined = z.object({ type: z.literal("joined"), device: Id, user: Name, group: Name });

/** The proof is accepted; from now on both sides send state. */
const Welcome = z.object({
  type: z.literal("welcome"),
  version: Version,
  /** The client pings this often, ms. */
  heartbeatMs: z.int().min(100).max(600_000),
  /** Either side cuts the link when it heard nothing for this long, ms. */
  silentMs: z.int().min(200).max(1_800_000),
  /** When this link is lost, others are, too: the client comes back at a moment of its own within so long, ms. At once when absent. */
  returnWithinMs: z.int().min(0).max(600_000).optional(),
  /** Sent to an agent or device that is known already, so that a lost `enrolled` or `joined` is made good. */
  name: Name,
});
export type Welcome = z.infer<typeof Welcome>;

/** The controller does not go on; it closes next. */
const Refused = z.object({
  type: z.literal("refused"),
  code: Code,
  text: z.string().max(512),
  retryAfterMs: z.int().min(0).max(86_400_000).optional(),
});
export type Refused = z.infer<typeof Refused>;

/**
 * A change of the sender's map, from the revision the receiver has to a newer one. `from: 0` is a snapshot: what it
 * does not name is gone. A change of more than `entriesPerFrameMax` entries comes in parts, applied together at `last`.
 */
const State = z.object({
  type: z.literal("state"),
  from: z.int().nonnegative(),
  to: z.int().positive(),
  part: z.int().nonnegative(),
  last: z.boolean(),
  set: z.array(z.tuple([z.string().min(1).max(256), z.unknown()])).max(limits.entriesPerFrameMax),
  remove: z.array(z.string().min(1).max(256)).max(limits.entriesPerFrameMax),
});
export type StateFrame = z.infer<typeof State>;

/** The receiver holds this revision now. */
const Ack = z.object({ type: z.literal("ack"), revision: z.int().nonnegative() });

/** The receiver lacks something in between and asks for a snapshot. */
const Resync = z.object({ type: z.literal("resync") });

const Ping = z.object({ type: z.literal("ping"), id: z.int().nonnegative() });
const Pong = z.object({ type: z.literal("pong"), id: z.int().nonnegative() });

/** The client leaves on purpose; what it holds may be moved at once. A restart is no goodbye. */
const Goodbye = z.object({ type: z.literal("goodbye"), reason: z.string().max(64) });

/** What the controller says. */
export const ControllerMessage = z.discriminatedUnion("type", [
  Challenge,
  Enrolled,
  Joined,
  Welcome,
  Refused,
  State,
  Ack,
  Resync,
  Pong,
]);
export type ControllerMessage = z.infer<typeof ControllerMessage>;

/** What an agent or a device says. */
export const ClientMessage = z.discriminatedUnion("type", [
  Hello,
  Enrol,
  Join,
  State,
  Ack,
  Resync,
  Ping,
  Goodbye,
]);
export type ClientMessage = z.infer<typeof ClientMessage>;

/** The text an identity key signs: bound to this protocol, this controller, this connection and this role. */
export function proofText(
  role: Role,
  challenge: Pick<Challenge, "nonce" | "controller">,
  identityKey: string,
): string {
  return ["connector link proof", role, challenge.controller, challenge.nonce, identityKey].join("\n");
}
