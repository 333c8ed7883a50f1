/** Whose words they are: the same person, or the same office, has one opinion however many devices speak. */
export interface Speaker {
  readonly user: string;
  /** Where the controller sees the device. */
  readonly network: string;
}

export interface Words {
  readonly devices: number;
  readonly users: number;
  readonly networks: number;
}

/** Words of one kind about one instance, counted as they come and go. */
export class Tally implements Words {
  devices = 0;
  /** BOUNDED: devices. */
  readonly #users = new Map<string, number>();
  /** BOUNDED: devices. */
  readonly #networks = new Map<string, number>();

  get users(): number {
    return this.#users.size;
  }

  get networks(): number {
    return this.#networks.size;
  }

  /** The network all of them are in, if it is one. */
  get onlyNetwork(): string | undefined {
    const [first] = this.#networks.size === 1 ? this.#networks.keys() : [];
    return first;
  }

  count({ user, network }: Speaker, by: 1 | -1): void {
    this.devices += by;
    add(this.#users, user, by);
    add(this.#networks, network, by);
  }
}

export function add(counts: Map<string, number>, key: string, by: 1 | -1): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}

/**
 * The network an address is of, as far as routing tells: a /24, or a /48, which is a site. Behind one of them whatever is
 * broken is broken for all.
 */
export function networkOf(address: string | undefined): string {
  if (address === undefined) return "";
  const groups = address.includes(":") ? expanded(address).slice(0, 3) : address.split(".").slice(0, 3);
  return groups.join(":");
}

/** The groups before the `::`, with zeros for those it stands for. */
function expanded(address: string): string[] {
  const [head = "", tail] = address.split("::", 2);
  const groups = head === "" ? [] : head.split(":");
  if (tail === undefined) return groups;
  const after = tail === "" ? [] : tail.split(":");
  return [...groups, ...Array<string>(Math.max(0, 8 - groups.length - after.length)).fill("0"), ...after];
}
