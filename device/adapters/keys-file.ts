import { join } from "node:path";
import { z } from "zod";
import { Failure } from "../../protocol/failures.ts";
import { Key32 } from "../../protocol/names.ts";
import { readFileIfThere, writeFileDurably } from "../../protocol/node/files.ts";
import {
  isKeyPair,
  type KeyPair,
  makeIdentityKey,
  makeWireguardKey,
  signText,
} from "../../protocol/node/keys.ts";

/** The keys that are this device: made here, once, and they never leave. */
export interface DeviceKeys {
  readonly identityKey: string;
  readonly wireguardKey: string;
  /** With its private half: for this host's WireGuard and nobody else. */
  readonly wireguard: KeyPair;
  sign(text: string): string;
}

const Pair = z.object({ publicKey: Key32, privateKey: Key32 });
const KeysFile = z.object({ format: z.literal(1), identity: Pair, wireguard: Pair });

/**
 * The keys of the state directory, on disk before anyone hears of them.
 * @throws Failure `identity.unreadable`: keys that cannot be used are never replaced, for they cannot be had again.
 */
export function openKeys(folder: string): DeviceKeys {
  const path = join(folder, "keys.json");
  const text = readFileIfThere(path);
  const keys = text === undefined ? makeKeys(path) : readKeys(path, text);
  return {
    identityKey: keys.identity.publicKey,
    wireguardKey: keys.wireguard.publicKey,
    wireguard: keys.wireguard,
    sign: (message) => signText(keys.identity, message),
  };
}

interface Keys {
  readonly identity: KeyPair;
  readonly wireguard: KeyPair;
}

function makeKeys(path: string): Keys {
  const keys = { identity: makeIdentityKey(), wireguard: makeWireguardKey() };
  writeFileDurably(path, `${JSON.stringify({ format: 1, ...keys }, undefined, 2)}\n`);
  return keys;
}

function readKeys(path: string, text: string): Keys {
  try {
    const keys = KeysFile.parse(JSON.parse(text));
    if (isKeyPair("Ed25519", keys.identity) && isKeyPair("X25519", keys.wireguard)) return keys;
  } catch {
    // The parser's message could quote the file, which holds private keys.
  }
  throw new Failure("identity.unreadable", { file: path });
}
