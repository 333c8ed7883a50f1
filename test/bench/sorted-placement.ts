interface Instance {
  readonly id: number;
  load: number;
  free: number;
}

/**
 * Placement as one would write it first: for each session the instances are sorted by their load, and the first that has a
 * free address takes it. What the controller's own is measured against.
 */
export class SortedPlacement {
  readonly instances: readonly Instance[];

  constructor(instances: readonly Instance[]) {
    this.instances = instances;
  }

  take(): number | undefined {
    const [least] = this.instances.filter(({ free }) => free > 0).sort((a, b) => a.load - b.load);
    if (least === undefined) return undefined;
    least.load += 1;
    least.free -= 1;
    return least.id;
  }
}
