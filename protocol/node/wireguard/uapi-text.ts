import type { PeerChange, PeerReading, WireguardChange, WireguardReading } from "../../wireguard.ts";
import { hexOfKey, keyOfHex, publicKeyOf } from "./key-text.ts";
import { oneWord } from "./one-word.ts";

/** The text protocol of userspace WireGuard: https://www.wireguard.com/xplatform/ */

export const getRequest = "get=1\n\n";

/**
 * Holds the private key where the change has one: for the socket, never for a log. Throws a SyntaxError for a value that
 * would be read as something else.
 */
export function setRequest(change: WireguardChange): string {
  const { privateKey, listenPort } = change;
  return [
    "set=1",
    ...(privateKey === undefined ? [] : [`private_key=${hexOfKey(privateKey.reveal())}`]),
    ...(listenPort === undefined ? [] : [`listen_port=${listenPort}`]),
    ...(change.forgetsMark ? ["fwmark=0"] : []),
    ...change.set.flatMap(peerLines),
    ...change.remove.flatMap((key) => [`public_key=${hexOfKey(key)}`, "remove=true"]),
    "\n",
  ].join("\n");
}

function peerLines(peer: PeerChange): string[] {
  const { publicKey, endpoint, keepaliveS } = peer;
  return [
    `public_key=${hexOfKey(publicKey)}`,
    ...(endpoint === undefined ? [] : [`endpoint=${oneWord(endpoint)}`]),
    ...(peer.forgetsPresharedKey ? [`preshared_key=${noKeyHex}`] : []),
    ...(peer.replaceAllowedIps ? ["replace_allowed_ips=true"] : []),
    ...peer.allowedIps.map((ip) => `allowed_ip=${oneWord(ip)}`),
    // After the addresses: turning it on sends the first one at once.
    ...(keepaliveS === undefined ? [] : [`persistent_keepalive_interval=${keepaliveS}`]),
  ];
}

/** Stands for "none" where a preshared key could be. */
const noKeyHex = "0".repeat(64);

export interface Answer {
  /** 0, or the number of a Linux error. */
  readonly errno: number;
  readonly reading: WireguardReading;
}

/** A line is a key of 64 digits and a name; an endpoint with a zone is the longest other thing. */
const lineLengthMax = 512;
/** 50,000 peers, more than an instance can lease to. */
const answerLengthMax = 32 * 1024 * 1024;

type Peer = { -readonly [Field in keyof PeerReading]: PeerReading[Field] } & { allowedIps: string[] };

/** Reads one answer as it comes in pieces. Names it does not know are passed over: newer versions say more. */
export class AnswerReader {
  /** BOUNDED: `lineLengthMax`. */
  #rest = "";
  #length = 0;
  #errno = 0;
  #publicKey: string | undefined;
  #listenPort = 0;
  #fwmark = 0;
  /** BOUNDED: by `answerLengthMax`. */
  readonly #peers = new Map<string, PeerReading>();
  #peer: Peer | undefined;

  /** The answer once it is whole, undefined before. Throws a SyntaxError for what is no answer. */
  push(text: string): Answer | undefined {
    this.#length += text.length;
    if (this.#length > answerLengthMax) throw new SyntaxError("the answer is too long");
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    if (this.#rest.length > lineLengthMax) throw new SyntaxError("a line is too long");
    for (const line of lines) {
      if (line === "") return this.#answer();
      this.#line(line);
    }
    return undefined;
  }

  #answer(): Answer {
    const [publicKey, listenPort, fwmark] = [this.#publicKey, this.#listenPort, this.#fwmark];
    return { errno: this.#errno, reading: { publicKey, listenPort, fwmark, peers: this.#peers } };
  }

  #line(line: string): void {
    const equals = line.indexOf("=");
    if (equals < 1 || line.length > lineLengthMax) throw new SyntaxError("a line is not name=value");
    const name = line.slice(0, equals);
    const value = line.slice(equals + 1);
    if (name === "errno") this.#errno = Math.abs(numberOf(value));
    else if (name === "public_key") this.#startPeer(keyOfHex(value));
    else if (this.#peer === undefined) this.#interfaceLine(name, value);
    else peerLine(this.#peer, name, value);
  }

  #startPeer(publicKey: string): void {
    const peer: Peer = {
      publicKey,
      allowedIps: [],
      endpoint: undefined,
      keepaliveS: 0,
      isPreshared: false,
      handshakeAtS: undefined,
      rxBytes: 0,
      txBytes: 0,
    };
    this.#peer = peer;
    this.#peers.set(publicKey, peer);
  }

  #interfaceLine(name: string, value: string): void {
    if (name === "listen_port") this.#listenPort = numberOf(value);
    if (name === "fwmark") this.#fwmark = numberOf(value);
    // Not kept: the public half says whose interface it is.
    if (name === "private_key") this.#publicKey = publicKeyOf(keyOfHex(value));
  }
}

function peerLine(peer: Peer, name: string, value: string): void {
  switch (name) {
    case "endpoint":
      peer.endpoint = value;
      return;
    case "preshared_key":
      peer.isPreshared = value !== noKeyHex;
      return;
    case "allowed_ip":
      peer.allowedIps.push(value);
      return;
    case "persistent_keepalive_interval":
      peer.keepaliveS = numberOf(value);
      return;
    case "last_handshake_time_sec":
      peer.handshakeAtS = numberOf(value) || undefined;
      return;
    case "rx_bytes":
      peer.rxBytes = numberOf(value);
      return;
    case "tx_bytes":
      peer.txBytes = numberOf(value);
      return;
  }
}

function numberOf(value: string): number {
  const number = /^-?\d{1,20}$/.test(value) ? Number(value) : Number.NaN;
  if (Number.isNaN(number)) throw new SyntaxError("a value is not a number");
  return number;
}
