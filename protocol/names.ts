import { z } from "zod";
import { parseAddress, parsePrefix } from "./address.ts";

/** Building blocks that messages, desired state and the admin API share: one definition per kind of value. */

/**
 * A name an operator gives: pools, groups, connectors, users. Shown in tables and used in keys, so no slashes, and one
 * spelling only: letters that Unicode holds to be other letters in disguise (NFKC) are not taken.
 */
export const Name = z
  .string()
  .min(1)
  .max(63)
  .regex(/^[\p{L}\p{N}]([\p{L}\p{N} ._@+-]*[\p{L}\p{N}])?$/u, "letters, digits, spaces and . _ @ + - only")
  .refine((text) => text === text.normalize("NFKC"), "plain letters, composed (Unicode NFKC)");

/** An id the controller makes: UUID. */
export const Id = z.uuid();

/** A public key or nonce: 32 bytes as base64url without padding. */
export const Key32 = z.string().regex(/^[A-Za-z0-9_-]{43}$/, "32 bytes in base64url");

/**
 * Whether a key is written in the one way there is: 43 letters hold two bits more than a key has, and a key that can be
 * written in four ways could be four identities.
 */
export function isCanonicalKey(key: string): boolean {
  return /[AEIMQUYcgkosw048]$/.test(key);
}

/** An Ed25519 signature: 64 bytes as base64url without padding. */
export const Signature64 = z.string().regex(/^[A-Za-z0-9_-]{86}$/, "64 bytes in base64url");

export const Ipv4 = z
  .string()
  .max(15)
  .refine((text) => parseAddress(text)?.family === 4, "an IPv4 address like 10.0.1.17");

export const Ipv6 = z
  .string()
  .max(45)
  .refine((text) => parseAddress(text)?.family === 6, "an IPv6 address like 2001:db8::1");

/** Any prefix in canonical form; which lengths are right is decided where the rule lives, with its own failure. */
export const PrefixText = z
  .string()
  .max(49)
  .refine(
    (text) => {
      const prefix = parsePrefix(text);
      return prefix.ok && prefix.value.text === text;
    },
    { error: ({ input }) => wantedPrefix(String(input)) },
  );

export const EpochMs = z.int().nonnegative();

/** Raised by one at every move of a session; whoever holds a lower one yields. */
export const Epoch = z.int().min(1);

/** `i-0e306ccdf94…`: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/resource-ids.html */
export const Ec2InstanceId = z
  .string()
  .regex(/^i-[0-9a-f]{8,17}$/, "an EC2 instance id like i-0e306ccdf94ab1234");

export const SoftwareVersion = z.string().min(1).max(64);

/** A code of the failure catalogue. Any text on the wire: a newer peer may know codes that we do not. */
export const Code = z.string().min(1).max(64);

/** The prefix that was probably meant by a text that is none in canonical form, with what is wrong with the text. */
function wantedPrefix(text: string): string {
  const prefix = parsePrefix(text);
  if (prefix.ok) return `give ${prefix.value.text}, its canonical form`;
  const { use } = prefix.failure.facts;
  if (use !== undefined) return `give ${use}: bits are set behind the length`;
  const address = parseAddress(text);
  if (address === undefined) return "a prefix in canonical form like 10.0.1.16/28 or 2001:db8::/80";
  return `give ${address.text}/${address.family === 4 ? 32 : 128}: the length is missing`;
}
