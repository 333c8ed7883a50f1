import { list, table } from "../../../protocol/node/table.ts";
import { timestamp } from "../../../protocol/node/text.ts";
import type { DeviceCodeView, DeviceView, OtpView, PathView, SessionView } from "../../core/views.ts";

type Width = number | undefined;

export function deviceTable(devices: readonly DeviceView[], width: Width): string {
  if (devices.length === 0)
    return "No device has joined yet. Invite one: connector-controller device-code create --help";
  return table(
    [
      { title: "Name" },
      { title: "Username" },
      { title: "User Group" },
      { title: "Last Seen" },
      { title: "Public IP" },
      { title: "Host OS", max: 20 },
      { title: "App Version" },
      { title: "Instance" },
      { title: "Path" },
      { title: "Device Id" },
    ],
    devices.map((device) => [
      device.name,
      device.user,
      device.group,
      device.connected ? "connected" : timestamp(device.lastSeenMs ?? undefined),
      device.publicIp ?? "-",
      device.hostOs ?? "-",
      device.version ?? "-",
      device.session?.instance ?? "-",
      device.path?.verdict ?? "-",
      device.id,
    ]),
    width,
  );
}

export function deviceText(device: DeviceView): string {
  const { session, path } = device;
  return list([
    ["Name", device.name],
    ["Device Id", device.id],
    ["Username", device.user],
    ["User Group", device.group],
    ["Joined", timestamp(device.joinedAtMs)],
    ["Link", device.connected ? "up" : "down"],
    ["Last Seen", timestamp(device.lastSeenMs ?? undefined)],
    ["Public IP", device.publicIp ?? "-"],
    ["Host OS", device.hostOs ?? "-"],
    ["App Version", device.version ?? "-"],
    ["Session", session === null ? "none" : sessionText(session)],
    ["Path", path === null ? "not reported" : pathText(path, device.connected)],
  ]);
}

function sessionText(session: SessionView): string {
  const { id, epoch, state, code, instance, ipv4, ipv6 } = session;
  const addresses = [ipv4, ipv6].filter((address) => address !== null).join(" ");
  return [
    `${state}${code === null ? "" : `: ${code}`}`,
    ...(instance === null ? [] : [instance]),
    ...(addresses === "" ? [] : [addresses]),
    `${id} epoch ${epoch}`,
  ].join("\n");
}

function pathText({ instance, verdict, sinceMs }: PathView, isConnected: boolean): string {
  const when = isConnected ? "" : ", when it was last heard";
  return `${verdict} to ${instance} since ${timestamp(sinceMs)}${when}`;
}

export function sessionTable(sessions: readonly SessionView[], width: Width): string {
  if (sessions.length === 0) return "No session.";
  return table(
    [
      { title: "Name" },
      { title: "Username" },
      { title: "State" },
      { title: "Instance" },
      { title: "Pool Name" },
      { title: "IPv4" },
      { title: "IPv6" },
      { title: "Session Id" },
    ],
    sessions.map((session) => [
      session.deviceName,
      session.user,
      session.code === null ? session.state : `${session.state}: ${session.code}`,
      session.instance ?? "-",
      session.pool ?? "-",
      session.ipv4 ?? "-",
      session.ipv6 ?? "-",
      session.id,
    ]),
    width,
  );
}

export function otpTable(otps: readonly OtpView[], width: Width): string {
  if (otps.length === 0) return "No one-time password. Make one: connector-controller otp create CONNECTOR";
  return table(
    [
      { title: "Connector" },
      { title: "State" },
      { title: "Used By" },
      { title: "Expires" },
      { title: "OTP Id" },
    ],
    otps.map(({ connector, state, usedBy, expiresAtMs, id }) => [
      connector,
      state,
      usedBy ?? "-",
      timestamp(expiresAtMs),
      id,
    ]),
    width,
  );
}

export function deviceCodeTable(codes: readonly DeviceCodeView[], width: Width): string {
  if (codes.length === 0) return "No join code. Make one: connector-controller device-code create --help";
  return table(
    [
      { title: "User" },
      { title: "User Group" },
      { title: "State" },
      { title: "Used By" },
      { title: "Expires" },
      { title: "Code Id" },
    ],
    codes.map(({ user, group, state, usedBy, expiresAtMs, id }) => [
      user,
      group,
      state,
      usedBy ?? "-",
      timestamp(expiresAtMs),
      id,
    ]),
    width,
  );
}
