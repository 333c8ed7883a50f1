import { parseAddress } from "../../protocol/address.ts";

/** What a field's text must look like: the value, or what is wrong with it and, where it can be guessed, what was meant. */
export type Checked<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: string; readonly fix?: string };

function text(raw: unknown): Checked<string> {
  if (typeof raw !== "string") return { ok: false, problem: `is ${typeName(raw)} where text is expected` };
  if (raw.trim() === "") return { ok: false, problem: "is empty" };
  if (raw !== raw.trim()) return { ok: false, problem: "has white space around it" };
  if (/\s/.test(raw)) return { ok: false, problem: "has white space in it" };
  return { ok: true, value: raw };
}

export function controllerUrl(raw: unknown): Checked<string> {
  const given = text(raw);
  if (!given.ok) return given;
  const url = URL.parse(given.value);
  if (url === null || (url.protocol !== "https:" && url.protocol !== "http:")) {
    const fix = `write https://${given.value.replace(/^[a-z]*:\/*/i, "")}`;
    return { ok: false, problem: "is not an https URL", ...(given.value.includes(".") ? { fix } : {}) };
  }
  if (url.username !== "" || url.password !== "") return { ok: false, problem: "must not hold a password" };
  if (url.pathname !== "/" || url.search !== "" || url.hash !== "") {
    return { ok: false, problem: "has a path", fix: `write ${url.origin}` };
  }
  if (url.protocol === "http:" && !isLoopback(url.hostname)) {
    return { ok: false, problem: "is not encrypted", fix: `write https://${url.host}` };
  }
  return { ok: true, value: url.origin };
}

export function ipv4(raw: unknown): Checked<string> {
  const given = text(raw);
  if (!given.ok) return given;
  const [address, length] = given.value.split("/");
  if (length !== undefined && parseAddress(address ?? "")?.family === 4) {
    return { ok: false, problem: "has a prefix length", fix: `write ${address}` };
  }
  const parsed = parseAddress(given.value);
  if (parsed === undefined) return { ok: false, problem: "is not an IPv4 address" };
  if (parsed.family === 6) return { ok: false, problem: "is an IPv6 address" };
  const first = Number(parsed.value >> 24n);
  if (first === 0 || first >= 224) return { ok: false, problem: "is not the address of a host" };
  return { ok: true, value: parsed.text };
}

export function anyAddress(raw: unknown): Checked<string> {
  const given = text(raw);
  if (!given.ok) return given;
  const parsed = parseAddress(given.value);
  return parsed === undefined
    ? { ok: false, problem: "is not an IP address" }
    : { ok: true, value: parsed.text };
}

export function absolutePath(raw: unknown): Checked<string> {
  if (typeof raw !== "string") return { ok: false, problem: `is ${typeName(raw)} where text is expected` };
  return raw.startsWith("/") ? { ok: true, value: raw } : { ok: false, problem: "is not an absolute path" };
}

export function loopbackListener(raw: unknown): Checked<string> {
  // YAML 1.1 readers and people both take `off` for false.
  if (raw === false) return { ok: true, value: "off" };
  const given = text(raw);
  if (!given.ok) return given;
  if (given.value === "off") return { ok: true, value: "off" };
  const [, host = "", portText = ""] = /^(.+):(\d{1,5})$/.exec(given.value) ?? [];
  if (!port(portText).ok && portText !== "0") return { ok: false, problem: "is not an address with a port" };
  if (!isLoopback(host))
    return { ok: false, problem: "is reachable from outside; metrics are for this host" };
  return { ok: true, value: given.value };
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

export function logLevel(raw: unknown): Checked<"debug" | "info" | "warn" | "error"> {
  if (raw === "debug" || raw === "info" || raw === "warn" || raw === "error") return { ok: true, value: raw };
  return { ok: false, problem: "is not a log level" };
}

export function onRebalance(raw: unknown): Checked<"show" | "drain"> {
  if (raw === "show" || raw === "drain") return { ok: true, value: raw };
  return { ok: false, problem: "is neither show nor drain" };
}

/** A number in the file, digits in the environment. */
export function port(raw: unknown): Checked<number> {
  const value = typeof raw === "string" && /^\d{1,5}$/.test(raw) ? Number(raw) : raw;
  if (typeof value !== "number" || !Number.isInteger(value) || value < 1 || value > 65_535) {
    return { ok: false, problem: "is not a port" };
  }
  return { ok: true, value };
}

export function cronExpression(raw: unknown): Checked<string> {
  const isCron = typeof raw === "string" && /^([\d*/,-]+ ){4,5}[\d*/,-]+$/.test(raw);
  return isCron ? { ok: true, value: raw } : { ok: false, problem: "is not a cron expression" };
}

export function typeName(raw: unknown): string {
  if (raw === null) return "nothing";
  if (Array.isArray(raw)) return "a list";
  if (typeof raw === "boolean") return "yes/no";
  return typeof raw === "object" ? "a mapping" : typeof raw === "number" ? "a number" : "text";
}

/** A value as a problem quotes it: short, on one line, and without the password of a URL. */
export function shown(raw: unknown): string {
  const whole = typeof raw === "string" ? raw : (JSON.stringify(raw) ?? String(raw));
  const asText = whole.replace(/\/\/[^/@\s]*@/, "//[secret]@");
  return asText.length > 64 ? `${asText.slice(0, 64)}…` : asText;
}
