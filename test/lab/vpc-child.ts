// A lab in little, for tests that end it: a VPC with an application and with a process that nobody else would end.
import { createVpc } from "../../lab/vpc/vpc.ts";

const [name = "", folder = ""] = process.argv.slice(2);
const ended = Promise.withResolvers<void>();
process.once("SIGINT", () => ended.resolve());

await using vpc = await createVpc({ name, folder });
const { host } = await vpc.addApplication("web", { kind: "web", ports: [80] });
// Its own session and no parent: as wireguard-go is after its agent was killed.
await host.run(["sh", "-c", "setsid sleep 1000 < /dev/null > /dev/null 2>&1 &"]);
process.stdout.write(`${host.namespace}\n`);
const forever = setInterval(() => {}, 60_000);
await ended.promise;
clearInterval(forever);
