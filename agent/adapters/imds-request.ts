import { AsyncLocalStorage } from "node:async_hooks";
import { subscribe } from "node:diagnostics_channel";
import type { ClientRequest } from "node:http";

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

/** The answer was not whole in time. */
export class TooLate extends Error {}

/**
 * What `ask` answers, over one HTTP request that it begins, within a time and a number of bytes. Of the request nothing
 * stays behind: not the rest of a body without end, not the connection of an answer whose body nobody reads.
 */
export async function askWithin<T>(limits: { ms: number; bytes: number }, ask: () => Promise<T>): Promise<T> {
  const flight: Flight = {};
  const { promise: cut, reject } = Promise.withResolvers<never>();
  const late = setTimeout(() => reject(new TooLate()), limits.ms);
  const look = setInterval(() => {
    if ((flight.request?.socket?.bytesRead ?? 0) > limits.bytes) reject(new TooLong());
  }, lookEveryMs);
  try {
    return await Promise.race([flights.run(flight, ask), cut]);
  } finally {
    clearTimeout(late);
    clearInterval(look);
    flight.request?.destroy();
  }
}
