import { fail, type Line, ok, warn } from "../line.ts";
import { everyBoot, keys, type SettingsSeen, setBeyondTo, setTo } from "./settings.ts";

/** As systemd/sysctl.d/60-connector.conf sets it. */
const connectionsMin = 262_144;
const resolverPort = 53;

/** What the host lets users open at once, and the agent listen at. */
export function judgeLimits(seen: SettingsSeen): Line[] {
  return [judgeConnections(seen), judgePort(seen)];
}

function judgeConnections({ settings }: SettingsSeen): Line {
  const name = "connections";
  const max = settings.get(keys.connectionsMax);
  if (max === undefined) {
    return fail(
      name,
      "the kernel does not track connections: the module nf_conntrack is not loaded",
      `modprobe nf_conntrack for now. ${everyBoot}.`,
    );
  }
  const count = settings.get(keys.connections) ?? 0;
  const text = `${count} of at most ${max}`;
  if (count >= max * 0.95) {
    return fail(
      name,
      `${text}: new connections are dropped when it is full`,
      setBeyondTo(keys.connectionsMax, 2 * max),
    );
  }
  if (count >= max * 0.8)
    return warn(name, `${text}: nearly full`, setBeyondTo(keys.connectionsMax, 2 * max));
  if (max < connectionsMin) {
    return warn(
      name,
      `${text}: few for an instance full of users`,
      setTo(keys.connectionsMax, connectionsMin),
    );
  }
  return ok(name, text);
}

function judgePort({ settings, agentUid, mayBind }: SettingsSeen): Line {
  const name = "port 53";
  const first = settings.get(keys.firstFreePort) ?? 1024;
  if (first <= resolverPort) return ok(name, "the resolver may listen, whoever the agent is");
  if (agentUid === 0) return ok(name, "the resolver may listen: the agent is root");
  if (mayBind) return ok(name, "the resolver may listen: CAP_NET_BIND_SERVICE");
  const who = agentUid === undefined ? "an agent that is not root" : "the agent, who is not root,";
  return warn(
    name,
    `${who} needs CAP_NET_BIND_SERVICE to have a resolver: ports below ${first} are root's`,
    setTo(keys.firstFreePort, resolverPort),
  );
}
