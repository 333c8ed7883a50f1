import { instanceInterface } from "../../../../protocol/tunnel.ts";
import { fail, type Line, ok, skip, warn } from "../line.ts";
import { keys, type Settings, setTo, settingName } from "./settings.ts";

/** A default route of the network interface. */
export interface DefaultRoute {
  /** Who made it: `ra` when it was advertised. */
  readonly protocol: string | undefined;
}

export interface ForwardingFacts {
  readonly settings: Settings;
  /** The network interface; undefined when it was not found. */
  readonly link: string | undefined;
  /** Undefined when the metadata service did not tell. */
  readonly hasIpv6Prefix: boolean | undefined;
  /** The network interface's IPv6 default routes; undefined when nobody could be asked. */
  readonly ipv6Routes: readonly DefaultRoute[] | undefined;
  /** By which interfaces users' IPv4 packets leave. */
  readonly waysOut: readonly string[];
}

export function judgeForwarding(facts: ForwardingFacts): Line[] {
  // The IPv6 route first: forwarding is turned on after it is safe.
  return [judgeIpv4(facts), judgeIpv6Route(facts), judgeIpv6(facts), judgeSourceCheck(facts)];
}

/** Each interface decides for itself what comes in by it; the global setting is only what they begin with. */
function judgeIpv4({ settings, link }: ForwardingFacts): Line {
  const name = "IPv4 forwarding";
  const own = [link, instanceInterface].flatMap((each) =>
    each === undefined ? [] : [keys.forwardingOf(each)],
  );
  const off = [keys.forwarding4, ...own].filter((key) => settings.get(key) === 0);
  const [first] = off;
  if (first === undefined) return ok(name, "on");
  return fail(name, `off (${settingName(first)}=0): no user's packet passes`, setTo(first, 1));
}

/** Here the interfaces' own values decide nothing but whether advertisements are taken. */
function judgeIpv6({ settings, link, hasIpv6Prefix, ipv6Routes = [] }: ForwardingFacts): Line {
  const name = "IPv6 forwarding";
  const value = settings.get(keys.forwarding6);
  if (value === 1) return ok(name, "on");
  if (hasIpv6Prefix === false) return ok(name, "off; no IPv6 prefix is assigned");
  if (value === undefined) {
    return fail(
      name,
      "the kernel has no IPv6",
      "Start it without ipv6.disable=1, or use IPv4 prefixes only.",
    );
  }
  const losesRoute =
    ipv6Routes.some(isAdvertised) && link !== undefined && settings.get(keys.acceptRaOf(link)) === 1;
  const action = setTo(keys.forwarding6, 1);
  return fail(
    name,
    "off: no user's IPv6 packet passes",
    losesRoute ? `After the line above, not before: ${action}` : action,
  );
}

/**
 * Turning forwarding on removes an advertised default route at once, unless accept_ra is 2; and with 1 none is taken
 * any more (addrconf.c, tried in a namespace).
 */
function judgeIpv6Route({ settings, link, hasIpv6Prefix, ipv6Routes }: ForwardingFacts): Line {
  const name = "IPv6 route";
  if (link === undefined) return skip(name, "needs the interface");
  if (ipv6Routes === undefined) return skip(name, "needs the command ip");
  const accepted = settings.get(keys.acceptRaOf(link));
  const action = setTo(keys.acceptRaOf(link), 2);
  if (ipv6Routes.length === 0) {
    if (hasIpv6Prefix !== true) return ok(name, "none, and no IPv6 prefix is assigned");
    const text = `${link} has no IPv6 default route`;
    if (accepted !== 1 || settings.get(keys.forwarding6) !== 1)
      return warn(name, text, `Let ${link} take the router's advertisements.`);
    return fail(name, `${text}: a kernel that forwards takes no advertisements`, action);
  }
  if (!ipv6Routes.some(isAdvertised)) return ok(name, "configured, not advertised");
  switch (accepted) {
    case 2:
      return ok(name, "advertised, and kept while forwarding (accept_ra=2)");
    case 1:
      return settings.get(keys.forwarding6) === 1
        ? fail(name, "advertised, but will not be renewed: accept_ra=1 while forwarding", action)
        : warn(name, "advertised, and lost when forwarding is turned on: accept_ra=1", action);
    case 0:
    case undefined:
      return ok(name, "advertised, and taken by a program, as systemd-networkd (accept_ra=0)");
  }
  return ok(name, `advertised (accept_ra=${accepted})`);
}

function isAdvertised({ protocol }: DefaultRoute): boolean {
  return protocol === "ra";
}

/** The larger of `all` and the interface's own counts: 0 none, 1 strict, 2 loose (ip-sysctl). */
function judgeSourceCheck({ settings, link, waysOut }: ForwardingFacts): Line {
  const name = "rp_filter";
  if (link === undefined) return skip(name, "needs the interface");
  const mode = Math.max(...["all", link].map((each) => settings.get(keys.sourceCheckOf(each)) ?? 0));
  if (mode === 0) return ok(name, `off on ${link}`);
  if (mode === 2) return ok(name, `loose on ${link}`);
  const other = waysOut.find((way) => way !== link);
  if (other === undefined) return ok(name, `strict, enough while users' packets leave by ${link}`);
  return fail(
    name,
    `strict, and the way out is ${other}: answers to users, by ${link}, are dropped`,
    setTo(keys.sourceCheckOf("all"), 2),
  );
}
