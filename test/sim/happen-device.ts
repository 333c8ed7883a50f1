import { block, both, nothing } from "./blocked.ts";
import type { DeviceHost } from "./device-host.ts";
import type { Event } from "./scenario.ts";
import type { World } from "./world.ts";

export function happenToDevice(
  world: World,
  host: DeviceHost,
  event: Extract<Event, { device: number }>,
): () => void {
  switch (event.is) {
    case "device unlinked":
      return block(host.control, event.way, () => world.network.changed(host));
    case "device dark":
      return block(host.kernel.data, event.way, nothing);
    case "device gone":
      return both(
        block(host.control, event.way, () => world.network.changed(host)),
        block(host.kernel.data, event.way, nothing),
      );
    case "device killed":
      host.kill();
      return () => host.start();
    case "device's link cut":
      world.network.cut(host);
      return nothing;
    case "device's disk full":
      host.isDiskFull = true;
      return () => {
        host.isDiskFull = false;
      };
    case "device's tunnel fails":
      host.isTunnelFailing = true;
      return () => {
        host.isTunnelFailing = false;
      };
    case "logged out":
      host.want("detached");
      return () => host.want("attached");
    case "device removed": {
      const device = world.deviceRowOf(host)?.id;
      if (device !== undefined) world.command({ command: "device.remove", device });
      return nothing;
    }
    case "session ended": {
      const device = world.deviceRowOf(host)?.id;
      const session = world.controller.tables.all("session").find((row) => row.device === device)?.id;
      if (session !== undefined) world.command({ command: "session.end", session });
      return nothing;
    }
  }
}
