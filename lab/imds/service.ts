// The metadata service's side of HTTP without the network: a request and the time in, an answer out.
import type { Faults, Interference } from "./faults.ts";
import type { SignedIdentity } from "./identity.ts";
import { find, isVersion, macDirectoryOf, pathSegments } from "./paths.ts";
import { parseTtlSeconds, type Tokens } from "./tokens.ts";
import { metadataTree } from "./tree.ts";
import type { InstanceWorld } from "./world.ts";

export interface Request {
  method: string;
  /** The request target as it stood in the request line. */
  target: string;
  ttlHeader: string | undefined;
  tokenHeader: string | undefined;
  forwardedForHeader: string | undefined;
}

export type Answer =
  /** Nothing ever comes; the connection stays open. */
  { kind: "silence" } | { kind: "reply"; delayMs: number; reply: Reply };

export interface Reply {
  status: number;
  headers: Readonly<Record<string, string>>;
  body: string;
}

const ttlHeaderName = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds";

export class MetadataService {
  readonly #world: InstanceWorld;
  readonly #faults: Faults;
  readonly #identity: SignedIdentity;
  readonly #tokens: Tokens;

  constructor(world: InstanceWorld, faults: Faults, identity: SignedIdentity, tokens: Tokens) {
    this.#world = world;
    this.#faults = faults;
    this.#identity = identity;
    this.#tokens = tokens;
  }

  answer(request: Request, nowMs: number): Answer {
    const segments = pathSegments(request.target);
    const path = `/${segments?.join("/") ?? ""}`;
    const isTokenRequest = request.method === "PUT" && segments !== undefined && isTokenPath(segments);
    const interference = this.#faults.interference(path, isTokenRequest, nowMs);
    if (interference.kind === "silence") return { kind: "silence" };
    const reply =
      interfered(interference) ??
      (segments === undefined ? errorPage(400) : this.#reply(request, segments, nowMs));
    return { kind: "reply", delayMs: this.#faults.delayMs(path, nowMs), reply };
  }

  #reply(request: Request, segments: readonly string[], nowMs: number): Reply {
    const { method } = request;
    if (isTokenPath(segments)) {
      return method === "PUT" ? this.#issueToken(request, nowMs) : otherMethod(method, "OPTIONS, PUT");
    }
    if (method !== "GET" && method !== "HEAD") return otherMethod(method, "OPTIONS, GET, HEAD");
    const secondsLeft = this.#tokens.secondsLeft(request.tokenHeader ?? "", nowMs);
    if (secondsLeft === undefined) return errorPage(401);
    const iface = this.#world.instance.interfaces.find(({ mac }) => mac === macDirectoryOf(segments));
    if (iface !== undefined) this.#faults.readingBegins(iface.mac);
    const tree = metadataTree(this.#world.view(nowMs), this.#identity, this.#faults, nowMs);
    const found = find(tree, segments);
    switch (found.kind) {
      case "absent":
        return errorPage(404);
      case "text":
        return ok(found.text, found.contentType, secondsLeft);
    }
  }

  #issueToken(request: Request, nowMs: number): Reply {
    // A request that came through a proxy must not get a token: the point of IMDSv2 against forwarded requests.
    if (request.forwardedForHeader !== undefined) return errorPage(403);
    const ttlSeconds = parseTtlSeconds(request.ttlHeader);
    if (ttlSeconds === undefined) return errorPage(400);
    return ok(this.#tokens.issue(ttlSeconds, nowMs), "text/plain", ttlSeconds);
  }
}

function isTokenPath(segments: readonly string[]): boolean {
  return segments.length === 3 && isVersion(segments[0]) && segments[1] === "api" && segments[2] === "token";
}

function interfered(interference: Exclude<Interference, { kind: "silence" }>): Reply | undefined {
  switch (interference.kind) {
    case "none":
      return undefined;
    case "disabled":
      return errorPage(403);
    case "html":
      return { status: 200, headers: { "Content-Type": "text/html" }, body: portalPage };
    case "status":
      return errorPage(interference.status);
  }
}

function ok(body: string, contentType: string, ttlSeconds: number): Reply {
  return {
    status: 200,
    headers: {
      "Content-Type": contentType,
      "Accept-Ranges": "none",
      [ttlHeaderName]: String(ttlSeconds),
      ...fromEc2,
    },
    body,
  };
}

/** No body, as recorded from a real instance. */
function otherMethod(method: string, allow: string): Reply {
  return {
    status: method === "OPTIONS" ? 200 : 405,
    headers: { Allow: allow, "Content-Type": "text/plain", ...fromEc2 },
    body: "",
  };
}

function errorPage(status: number): Reply {
  const title = `${status} - ${reasons[status] ?? "Error"}`;
  const body = `<?xml version="1.0" encoding="iso-8859-1"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"
	"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
 <head>
  <title>${title}</title>
 </head>
 <body>
  <h1>${title}</h1>
 </body>
</html>
`;
  return { status, headers: { "Content-Type": "text/html", ...fromEc2 }, body };
}

const fromEc2 = { Server: "EC2ws" };

const reasons: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  429: "Too Many Requests",
  500: "Internal Server Error",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
};

/** Not from EC2, and 200: what a client sees that went through someone else's proxy. */
const portalPage = `<!DOCTYPE html>
<html><head><title>Guest network</title></head>
<body><h1>Please sign in</h1><form action="/login"></form></body></html>
`;
