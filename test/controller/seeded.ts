/** A world of the controller's core that things happen to, by a seed. */
export interface SeededWorld {
  /** Something happens; what. */
  step(): string;
  /** Throws what is wrong. */
  check(): void;
  /** All faults end; throws what is wrong then. */
  settle(): void;
}

export function seeds(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1);
}

/** Fails with the last that happened. */
export function live(world: SeededWorld, seed: number, steps: number): void {
  const trace: string[] = [];
  try {
    for (let i = 0; i < steps; i++) {
      trace.push(world.step());
      world.check();
    }
    trace.push("settle");
    world.settle();
  } catch (error) {
    console.log(`seed ${seed}: ${trace.slice(-30).join("; ")}`);
    throw error;
  }
}
