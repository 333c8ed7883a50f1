import type { Answer, Asked, EndpointName } from "../controller/api/endpoints.ts";
import { ControllerClient } from "../controller/cli/client.ts";
import type { Connection } from "../controller/cli/connection.ts";

/** The lab's administrator: the CLI's client, for whom a refusal ends what was being done. */
export class Administrator {
  readonly #client: ControllerClient;

  constructor(connection: Connection) {
    this.#client = new ControllerClient(connection);
  }

  /** @throws Failure of the controller, or `admin.unreachable`. */
  async call<Name extends EndpointName>(name: Name, asked: Asked<Name>): Promise<Answer<Name>> {
    const answer = await this.#client.call(name, asked);
    if (!answer.ok) throw answer.failure;
    return answer.value;
  }
}
