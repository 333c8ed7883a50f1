import { loopbackNames } from "./certificates.ts";
import type { Place } from "./place.ts";
import { freePort } from "./ports.ts";

/** Every process on the machine's loopback: the control path is real, and no packet is forwarded. */
export function loopbackPlace(why: string): Place {
  return {
    about: `no packets are forwarded, this is the control path only: ${why}`,
    shell: 'on() { shift; "$@"; }',
    addController: async () => {
      const port = await freePort();
      const url = `https://127.0.0.1:${port}`;
      const listen = `127.0.0.1:${port}`;
      return { process: {}, host: undefined, listen, names: loopbackNames, url, adminUrl: url };
    },
    addInstance: async (_name, imds) => {
      const health = `127.0.0.1:${await freePort()}`;
      return {
        // All agents share these interfaces, so only the metadata service can say what is whose.
        process: {
          env: {
            AWS_EC2_METADATA_SERVICE_ENDPOINT: imds.url,
            CONNECTOR_INTERFACE: "imds",
            CONNECTOR_DATAPATH: "record",
          },
        },
        host: undefined,
        imds,
        metadataUrl: imds.url,
        parameters: { health },
        healthUrl: async () => `http://${health}`,
      };
    },
    addDevice: async () => ({ process: {}, host: undefined, options: ["--tunnel", "off"] }),
    applications: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
}
