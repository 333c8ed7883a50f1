/** What a host can be asked to try, and what comes of it: JSON, to and from `programs/ask.ts`. */
export type Question =
  | HttpQuestion
  | EchoQuestion
  | ({
      readonly kind: "name";
      readonly name: string;
      readonly family: 4 | 6;
      readonly dns: string;
    } & Deadline)
  /** Listens on a port, and has the application at `url` connect to it. */
  | ({ readonly kind: "callback"; readonly url: string; readonly port: number } & Deadline);

/** GET. */
export interface HttpQuestion extends Deadline {
  readonly kind: "http";
  readonly url: string;
  /** IPv4 unless it says otherwise. */
  readonly family?: 4 | 6;
  /** The server that is asked for the name; otherwise those of the host. */
  readonly dns?: string;
  /** One of the host's addresses, to be asked from. */
  readonly from?: string;
}

/** Whether the same text comes back. */
export interface EchoQuestion extends Deadline {
  readonly kind: "tcp" | "udp";
  readonly address: string;
  readonly port: number;
  readonly text: string;
}

interface Deadline {
  /** 2 s unless it says otherwise. */
  readonly withinMs?: number;
}

export type Answer =
  | { readonly ok: true; readonly text: string }
  /** A code of Node or of the resolver (ETIMEDOUT, ECONNREFUSED, ENOTFOUND …), or a status of HTTP. */
  | { readonly ok: false; readonly why: string };

/** An answer, and how long it took to come. */
export interface Told {
  readonly answer: Answer;
  readonly tookMs: number;
}

/** A question, or what came of it, on the way to or from a program that answers many. */
export interface Numbered<What> {
  readonly number: number;
  readonly what: What;
}

/** What the web application says to GET /. */
export interface WebAnswer {
  readonly application: string;
  /** Whose packets it got. */
  readonly address: string;
  readonly port: number;
}

/** What the caller says to GET /call?port=N. */
export interface CallAnswer {
  /** Whom it called. */
  readonly address: string;
  readonly port: number;
  readonly connected: boolean;
  /** When it is not. */
  readonly why?: string;
}
