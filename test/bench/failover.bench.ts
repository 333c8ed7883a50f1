import { type BenchResult, best, type Size, timed, workHash } from "./bench.ts";
import { ControllerWorld, instanceCount, now, savedWith } from "./controller-world.ts";

/**
 * One of 64 instances is lost: from the decision until every session of it is granted elsewhere and every device of it is
 * told, in the controller's core. Frames are made and read, nothing is sent over a network or written to a disk.
 */
export async function run(size: Size): Promise<BenchResult> {
  const each = size === "full" ? 1_400 : 100;
  let loads: readonly number[] = [];
  const ms = best(size === "full" ? 3 : 1, () => {
    const world = new ControllerWorld(savedWith(each * instanceCount, each * instanceCount));
    world.linkInstances(each);
    for (let i = 0; i < each; i++) world.linkDevice(i * instanceCount);
    const spent = timed(() => world.sayGoodbye(0));
    const instances = world.core.viewsAt(now).instances();
    loads = instances.map(({ sessions }) => sessions);
    const { moved } = world.core.metricsFacts().totals;
    const { attached } = world.core.metricsFacts().sessions;
    if (moved.goodbye !== each || attached !== each * instanceCount)
      throw new Error(`${moved.goodbye} of ${each} moved, ${attached} attached`);
    return spent;
  });
  const what = `an instance's ${each} sessions of ${each * instanceCount} moved, from decision to last attachment`;
  return {
    rows: [{ what, value: ms, unit: "ms", budget: { atMost: 500 } }],
    work: workHash(loads),
  };
}
