import type { Condition, InstanceStatus } from "../../protocol/view.ts";
import type { Note } from "./agent-inputs.ts";

/** Remembers what was shown last, so that the log tells each change once. */
export class Changes {
  #status: InstanceStatus | undefined;
  /** BOUNDED: as the conditions. */
  #shown: ReadonlyMap<string, Condition> = new Map();

  notes(status: InstanceStatus, conditions: readonly Condition[]): Note[] {
    const notes: Note[] = [];
    const shown = new Map(
      conditions.map((condition) => [`${condition.code} ${condition.subject}`, condition]),
    );
    for (const [key, condition] of shown) if (!this.#shown.has(key)) notes.push({ is: "raised", condition });
    for (const [key, condition] of this.#shown) if (!shown.has(key)) notes.push({ is: "cleared", condition });
    if (status !== this.#status) notes.push({ is: "status", from: this.#status, to: status });
    this.#status = status;
    this.#shown = shown;
    return notes;
  }
}
