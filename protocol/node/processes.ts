import { readdirSync, readFileSync } from "node:fs";

/**
 * The ids of all processes that this one can see. None while it is out of descriptors: whoever looks for one to end it sees
 * whether that helped, and comes again.
 */
export function processIds(): number[] {
  try {
    return readdirSync("/proc")
      .map(Number)
      .filter((pid) => pid > 0);
  } catch {
    return [];
  }
}

/**
 * When a process started, in clock ticks since the boot (proc_pid_stat(5), field 22): ids are given again, the pair is not.
 * Undefined when there is no such process, and when it has ended: one that was killed keeps its id, as a zombie, until its
 * parent has asked how it ended.
 */
export function startOf(pid: number): string | undefined {
  const stat = readOfProcess(pid, "stat");
  if (stat === undefined) return undefined;
  // The command, in parentheses, may hold spaces and parentheses of its own; the state is field 3.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return /[ZX]/.test(fields[0] ?? "") ? undefined : fields[19];
}

/** The name of the program that a process runs, of which the kernel keeps 15 letters. Undefined when it has ended. */
export function programOf(pid: number): string | undefined {
  return readOfProcess(pid, "comm")?.trimEnd();
}

/** What /proc has of a process under this name. Undefined when it has ended, be it while it is read (ESRCH). */
export function readOfProcess(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return undefined;
  }
}
