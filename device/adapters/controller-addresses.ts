import { type LookupAddress, lookup } from "node:dns";
import { isIP, type LookupFunction } from "node:net";

type Answered = (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void;
type Ask = (name: string, answered: Answered) => void;

/**
 * Where the controller is. What its name was last is told before anyone dials it, and is remembered for a time when the
 * name cannot be asked for: the way to a name server may lead through a tunnel that is dead.
 */
export class ControllerAddresses {
  readonly #onKnown: (addresses: readonly string[]) => Promise<void>;
  readonly #ask: Ask;
  /** BOUNDED: one name, and what its servers answer. */
  #last: LookupAddress[] = [];

  constructor(
    controller: string,
    onKnown: (addresses: readonly string[]) => Promise<void>,
    ask: Ask = (name, answered) => lookup(name, { all: true }, answered),
  ) {
    this.#onKnown = onKnown;
    this.#ask = ask;
    const host = new URL(controller).hostname.replace(/^\[|\]$/g, "");
    if (isIP(host) !== 0) void onKnown([host]);
  }

  /** For the dialler: as the system's, and only answered when what `onKnown` began has ended. */
  readonly lookup: LookupFunction = (name, options, callback) => {
    this.#ask(name, (error, found) => {
      const all = error === null && found.length > 0 ? found : this.#last;
      this.#last = all;
      const [first] = all;
      if (first === undefined) {
        callback(error ?? notFound(name), []);
        return;
      }
      void this.#onKnown(all.map(({ address }) => address)).then(() => {
        if (options.all === true) callback(null, all);
        else callback(null, first.address, first.family);
      });
    });
  };
}

function notFound(name: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${name} has no address`), { code: "ENOTFOUND" });
}
