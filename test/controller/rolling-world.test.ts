import { expect, test } from "vitest";
import { Random } from "../sim/random.ts";
import { type RollingInstance, RollingWorld } from "./rolling.ts";
import { live, seeds } from "./seeded.ts";

/** A rolling restart to which everything happens that happens to groups. */
class Trouble {
  readonly world = new RollingWorld({
    ...{ instances: 4, devices: 8 },
    settings: { restartDrainMs: 10_000, drainDeadlineMs: 5_000, restartReturnMs: 15_000 },
  });
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = new Random(seed);
  }

  step(): string {
    const happenings = Object.entries(this.#happenings);
    const [name, happen] = happenings[this.#random.below(happenings.length)] ?? [];
    const number = 1 + this.#random.below(4);
    happen?.(this.world.at(number));
    for (const instance of this.world.instances) instance.rested();
    for (let i = 0; i < 4; i++) {
      this.world.pass(500);
      this.check();
    }
    return `${name} (${number})`;
  }

  readonly #happenings = {
    "a restart is asked for": () => {
      this.world.h.ask({ command: "connector.restart", connector: "prod" });
      this.world.follow();
    },
    "it is cancelled": () => {
      if (this.#random.below(3) === 0)
        this.world.h.ask({ command: "connector.restart.cancel", connector: "prod" });
    },
    "time passes": () => this.world.pass(this.#random.below(8_000)),
    "an agent dies": (instance: RollingInstance) => {
      if (instance.isLinked) instance.die();
    },
    "an agent does not return": (instance: RollingInstance) => {
      instance.returns = this.#random.below(3) > 0;
    },
    "an administrator drains": ({ name }: RollingInstance) => {
      this.world.h.ask({ command: "instance.drain", instance: name });
    },
    "an administrator resumes": () => {
      for (const { name } of this.world.instances)
        this.world.h.ask({ command: "instance.resume", instance: name });
    },
    "it drains by itself": (instance: RollingInstance) => {
      instance.drains = this.#random.below(2) === 0 ? ["spot"] : [];
    },
    "devices linger": () => {
      this.world.comeOver = this.#random.below(2) === 0;
    },
    "the controller dies": () => {
      // Devices come with new keys here, which must be stored.
      this.world.h.failing = undefined;
      this.world.crash(true);
      this.world.h.release();
    },
    "the disk is full": () => {
      this.world.h.failing = this.#random.below(2) === 0 ? "store.full" : undefined;
    },
  };

  check(): void {
    const { world } = this;
    const rows = world.h.store.saved().restart;
    const told = world.instances.filter(({ agent, isLinked }) => isLinked && agent.desired.has("restart"));
    expect(told.length, "one at a time").toBeLessThanOrEqual(1);
    for (const { restartId, steps, minActive } of rows) {
      const begun = steps.filter(({ stage }) => stage.is === "draining" || stage.is === "restarting");
      expect(begun.length, "one at a time").toBeLessThanOrEqual(1);
      expect(minActive).toBeGreaterThan(0);
      for (const { name, ended, endedBy } of world.instances) {
        const times = endedBy.filter((id) => id === restartId).length;
        expect(times, `${name} ends once for one restart`).toBeLessThanOrEqual(1);
        expect(ended).toBe(endedBy.length);
      }
    }
    expect(world.instances.flatMap(({ endedWith }) => endedWith).filter((sessions) => sessions > 0)).toEqual(
      [],
    );
  }

  /** Nothing is wrong any more: it comes to an end, and the next one goes through. */
  settle(): void {
    const { world } = this;
    world.h.failing = undefined;
    world.comeOver = true;
    for (const instance of world.instances) {
      instance.returns = true;
      instance.drains = [];
      world.h.ask({ command: "instance.resume", instance: instance.name });
    }
    world.pass(90_000);
    this.check();
    expect(world.h.store.saved().restart.every(({ outcome }) => outcome !== null)).toBe(true);
    expect(world.unserved).toBe(0);
    for (const instance of world.instances) instance.rested();
    world.pass(5_000);
    world.restart();
    world.pass(90_000);
    this.check();
    expect(world.steps.map((step) => step.split(" ")[1])).toEqual(Array(4).fill("restarted"));
    expect(world.instances.some(({ agent }) => agent.desired.has("restart"))).toBe(false);
    const { commits } = world.h.store;
    world.pass(30_000);
    expect(world.h.store.commits, "it is quiet").toBe(commits);
  }
}

test.each(seeds(25))("whatever happens to a rolling restart: seed %i", (seed) => {
  live(new Trouble(seed), seed, 50);
});
