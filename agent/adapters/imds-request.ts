import { AsyncLocalStorage } from "node:async_hooks";
import { subscribe } from "node:diagnostics_channel";
import type { ClientRequest } from "node:http";
import { afterRunning } from "../../protocol/node/running-time.ts";

/** A request was begun while this was running. */
interface Flight {
  request?: ClientRequest;
}

const flights = new AsyncLocalStorage<Flight>();

/** AWS's client offers no way to end a request it began; Node tells which one that is. */
subscribe("http.client.request.created", (message) => {
  const flight = flights.getStore();
  if (flight !== undefined) flight.request = (message as { request: ClientRequest }).request;
});

const lookEveryMs = 20;

/** The answer is longer than it may be. */
export class TooLong extends Error {}

/** The answer did not begin, or was not whole, in time. */
export class TooLate extends Error {}

export interface Limits {
  /** For the connection and for the first byte. */
  readonly firstByteMs: number;
  readonly wholeMs: number;
  readonly bytes: number;
}

/**
 * What `ask` answers, over one HTTP request that it begins, within a time and a number of bytes. Of the request nothing
 * stays behind: not the rest of a body without end, not the connection of an answer whose body nobody reads.
 */
export async function askWithin<T>(limits: Limits, ask: () => Promise<T>): Promise<T> {
  const flight: Flight = {};
  const bytesRead = () => flight.request?.socket?.bytesRead ?? 0;
  const { promise: cut, reject } = Promise.withResolvers<never>();
  const stops = [
    afterRunning(limits.firstByteMs, () => {
      if (bytesRead() === 0) reject(new TooLate(`no answer in ${limits.firstByteMs / 1000} s`));
    }),
    afterRunning(limits.wholeMs, () => reject(new TooLate(`no whole answer in ${limits.wholeMs / 1000} s`))),
  ];
  const look = setInterval(() => {
    if (bytesRead() > limits.bytes) reject(new TooLong());
  }, lookEveryMs);
  try {
    return await Promise.race([flights.run(flight, ask), cut]);
  } finally {
    for (const stop of stops) stop();
    clearInterval(look);
    flight.request?.destroy();
  }
}
