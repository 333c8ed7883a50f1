import type { z } from "zod";
import { failed, type Result, success } from "./failures.ts";
import { limits } from "./limits.ts";
import { ClientMessage, ControllerMessage } from "./messages.ts";

/** A frame whose type this version does not know: counted and ignored, so that a newer peer may say more. */
export interface UnknownMessage {
  readonly type: "unknown";
  readonly name: string;
}

export function encode(message: ClientMessage | ControllerMessage): string {
  return JSON.stringify(message);
}

/** Reads a frame from an agent or device. Fails with `protocol.too-large`, `.too-deep`, `.not-json` or `.malformed`. */
export function decodeClient(frame: string, bytesMax?: number): Result<ClientMessage | UnknownMessage> {
  return decode(frame, ClientMessage, bytesMax);
}

/** Reads a frame from the controller. */
export function decodeController(frame: string): Result<ControllerMessage | UnknownMessage> {
  return decode(frame, ControllerMessage);
}

type Union = typeof ClientMessage | typeof ControllerMessage;

function decode<Messages extends Union>(
  frame: string,
  messages: Messages,
  bytesMax: number = limits.frameBytesMax,
): Result<z.infer<Messages> | UnknownMessage> {
  if (frame.length > bytesMax) return failed("protocol.too-large", { bytes: frame.length, limit: bytesMax });
  if (deeperThan(frame, limits.frameDepthMax))
    return failed("protocol.too-deep", { limit: limits.frameDepthMax });
  let json: unknown;
  try {
    json = JSON.parse(frame);
  } catch (error) {
    return failed("protocol.not-json", { starts: JSON.stringify(frame.slice(0, 32)) }, error);
  }
  const type = typeOf(json);
  if (type === undefined) return failed("protocol.malformed", { field: "type", problem: "missing" });
  if (!knownTypes(messages).has(type)) return success({ type: "unknown", name: type.slice(0, 64) });
  const parsed = messages.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    return failed("protocol.malformed", {
      type,
      field: issue?.path.join(".") ?? "",
      problem: issue?.message ?? "",
    });
  }
  return success(parsed.data as z.infer<Messages>);
}

function typeOf(json: unknown): string | undefined {
  if (typeof json !== "object" || json === null || Array.isArray(json)) return undefined;
  const type = (json as { type?: unknown }).type;
  return typeof type === "string" ? type : undefined;
}

const typesOf = (messages: Union) =>
  new Set<string>(messages.options.map((option) => option.shape.type.value));
const clientTypes = typesOf(ClientMessage);
const controllerTypes = typesOf(ControllerMessage);

function knownTypes(messages: Union): ReadonlySet<string> {
  return messages === ClientMessage ? clientTypes : controllerTypes;
}

const quote = 0x22;
const backslash = 0x5c;
const opening = new Set([0x7b, 0x5b]);
const closing = new Set([0x7d, 0x5d]);

/** Measures nesting before JSON.parse spends memory on it; brackets inside strings do not count. */
function deeperThan(text: string, depthMax: number): boolean {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (inString) {
      if (char === backslash) i++;
      else if (char === quote) inString = false;
    } else if (char === quote) inString = true;
    else if (opening.has(char)) {
      if (++depth > depthMax) return true;
    } else if (closing.has(char)) depth--;
  }
  return false;
}
