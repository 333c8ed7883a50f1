import { type Runtime, Session } from "node:inspector";

/**
 * Counts what is reachable from an object, private fields included, by the way that leads there: how many entries its
 * maps, sets and arrays have together. The cores need not offer anything for it, so none can be left out.
 */
export function entriesOf(root: object): ReadonlyMap<string, number> {
  using privates = new Privates();
  const counts = new Map<string, number>();
  const seen = new Set<object>([root]);
  const open: { readonly at: string; readonly value: object }[] = [{ at: "", value: root }];
  const visit = (at: string, value: unknown) => {
    if (typeof value !== "object" || value === null || seen.has(value)) return;
    seen.add(value);
    open.push({ at, value });
  };
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { at, value } = next;
    const entries = entriesIn(value);
    if (entries !== undefined) {
      counts.set(at, (counts.get(at) ?? 0) + entries.length);
      for (const entry of entries) visit(`${at}[]`, entry);
      continue;
    }
    for (const [name, field] of Object.entries(value)) visit(`${at}.${name}`, field);
    if (!isPlain(value)) for (const [name, field] of privates.of(value)) visit(`${at}.${name}`, field);
  }
  return counts;
}

function entriesIn(value: object): readonly unknown[] | undefined {
  if (value instanceof Map) return [...value.values()];
  if (value instanceof Set) return [...value];
  return Array.isArray(value) ? value : undefined;
}

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

/** Private fields are nobody's but the debugger's. */
class Privates implements Disposable {
  readonly #session = new Session();
  readonly #hand: { value?: unknown } = {};

  constructor() {
    this.#session.connect();
    Object.assign(globalThis, { [handName]: this.#hand });
  }

  of(value: object): readonly (readonly [string, unknown])[] {
    this.#hand.value = value;
    const expression = `${handName}.value`;
    const { result } = this.#call<Runtime.EvaluateReturnType>("Runtime.evaluate", { expression });
    const { objectId } = result;
    const found = this.#call<Runtime.GetPropertiesReturnType & WithPrivates>("Runtime.getProperties", {
      ...{ objectId, ownProperties: true },
    });
    return (found.privateProperties ?? []).flatMap(({ name, value: field }) =>
      field?.objectId === undefined ? [] : [[name, this.#take(field.objectId)] as const],
    );
  }

  [Symbol.dispose](): void {
    this.#session.disconnect();
    Reflect.deleteProperty(globalThis, handName);
  }

  #take(objectId: string): unknown {
    const functionDeclaration = `function () { ${handName}.value = this; }`;
    this.#call("Runtime.callFunctionOn", { objectId, functionDeclaration });
    return this.#hand.value;
  }

  /** In its own process the debugger answers before it returns. */
  #call<Answer>(method: string, parameters: object): Answer {
    let answer: Answer | undefined;
    this.#session.post(method, parameters, (error, result) => {
      if (error !== null) throw error;
      answer = result as Answer;
    });
    if (answer === undefined) throw new Error(`${method} was not answered`);
    return answer;
  }
}

interface WithPrivates {
  readonly privateProperties?: readonly { readonly name: string; readonly value?: Runtime.RemoteObject }[];
}

const handName = "entriesOfHand";
