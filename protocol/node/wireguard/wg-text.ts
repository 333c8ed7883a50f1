import type { PeerReading, WireguardChange, WireguardReading } from "../../wireguard.ts";
import { base64OfKey, keyOfBase64 } from "./key-text.ts";
import { oneWord } from "./one-word.ts";

/** The texts of `wg`: https://git.zx2c4.com/wireguard-tools/about/src/man/wg.8 */

/**
 * What `wg addconf` takes: it sets the peers that stand in it and leaves all others alone. Holds the private key where
 * the change has one: for a file that only we can read. Throws a SyntaxError for a value that would be read as
 * something else.
 */
export function configurationText(change: WireguardChange): string {
  const { privateKey, listenPort } = change;
  const section = [
    ...(privateKey === undefined ? [] : [`PrivateKey = ${base64OfKey(privateKey.reveal())}`]),
    ...(listenPort === undefined ? [] : [`ListenPort = ${listenPort}`]),
    ...(change.forgetsMark ? ["FwMark = off"] : []),
  ];
  const peers = change.set.map(({ publicKey, allowedIps, endpoint, keepaliveS, forgetsPresharedKey }) => [
    "[Peer]",
    `PublicKey = ${base64OfKey(publicKey)}`,
    // A section replaces the peer's whole list; without this line by an empty one.
    ...(allowedIps.length === 0 ? [] : [`AllowedIPs = ${allowedIps.map(oneWord).join(", ")}`]),
    ...(endpoint === undefined ? [] : [`Endpoint = ${oneWord(endpoint)}`]),
    ...(forgetsPresharedKey ? [`PresharedKey = ${noKeyBase64}`] : []),
    ...(keepaliveS === undefined ? [] : [`PersistentKeepalive = ${keepaliveS === 0 ? "off" : keepaliveS}`]),
  ]);
  const sections = section.length === 0 ? peers : [["[Interface]", ...section], ...peers];
  return sections.map((lines) => `${lines.join("\n")}\n`).join("\n");
}

/** Stands for "none" where a preshared key could be. */
const noKeyBase64 = Buffer.alloc(32).toString("base64");

/** Peers of one command line: 44 letters each and two words, far below what the kernel takes. */
const removalsPerCommand = 1_000;

/** The command lines that remove peers. Public keys only. */
export function removeCommands(name: string, keys: readonly string[]): string[][] {
  const commands: string[][] = [];
  for (let i = 0; i < keys.length; i += removalsPerCommand) {
    const some = keys.slice(i, i + removalsPerCommand);
    commands.push(["wg", "set", name, ...some.flatMap((key) => ["peer", base64OfKey(key), "remove"])]);
  }
  return commands;
}

/** Reads `wg show NAME dump`. Throws a SyntaxError for what is none. */
export function parseDump(text: string): WireguardReading {
  const [first = "", ...lines] = text.trimEnd().split("\n");
  // The private key stands first and is not looked at.
  const [, publicKey = "", listenPort = "", fwmark = ""] = first.split("\t");
  const peers = new Map(
    lines.map((line) => {
      const peer = parsePeer(line);
      return [peer.publicKey, peer];
    }),
  );
  return {
    publicKey: publicKey === "(none)" ? undefined : keyOfBase64(publicKey),
    listenPort: numberOf(listenPort),
    fwmark: fwmark === "off" ? 0 : Number.parseInt(fwmark, 16) || 0,
    peers,
  };
}

function parsePeer(line: string): PeerReading {
  const [key = "", preshared, endpoint = "", ips = "", handshake = "", rx = "", tx = "", keepalive = ""] =
    line.split("\t");
  return {
    publicKey: keyOfBase64(key),
    allowedIps: ips === "(none)" ? [] : ips.split(","),
    endpoint: endpoint === "(none)" ? undefined : endpoint,
    keepaliveS: keepalive === "off" ? 0 : numberOf(keepalive),
    isPreshared: preshared !== "(none)",
    handshakeAtS: numberOf(handshake) || undefined,
    rxBytes: numberOf(rx),
    txBytes: numberOf(tx),
  };
}

function numberOf(text: string): number {
  if (!/^\d{1,20}$/.test(text)) throw new SyntaxError("a field is not a number");
  return Number(text);
}
