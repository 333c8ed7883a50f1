import { failureEntry } from "../../protocol/failures.ts";
import type { Logger } from "../../protocol/node/log.ts";
import type { Note } from "../core/agent.ts";

/** Writes down what changed. A condition is a warning where a person should look, whatever its severity in the table. */
export function logNote(log: Logger, note: Note): void {
  switch (note.is) {
    case "status":
      log.info({ from: note.from, to: note.to }, "the status changed");
      break;
    case "raised": {
      const { code, subject, text, hint, severity } = note.condition;
      log[severity === "info" ? "info" : "warn"]({ code, subject, text, hint }, "a condition began");
      break;
    }
    case "cleared":
      log.info({ code: note.condition.code, subject: note.condition.subject }, "a condition ended");
      break;
    case "linkUp":
      log.info({ instance: note.name, protocol: note.version }, "the controller is connected");
      break;
    case "linkDown":
      log.info({ code: note.why, hint: failureEntry(note.why).hint }, "the controller is disconnected");
      break;
    case "refused":
      log.warn(
        { code: note.why, text: note.text, hint: failureEntry(note.why).hint },
        "the controller refused",
      );
      break;
    case "breach":
      log.warn({ where: note.where }, "the controller broke the protocol");
      break;
    case "ignored":
      log.info({ entries: note.entries }, "the controller said things that this version does not know");
      break;
    case "unreadable":
      log.warn(
        { entries: note.entries },
        "what was saved holds entries that this version cannot read; they are served when the controller says them again",
      );
  }
}
