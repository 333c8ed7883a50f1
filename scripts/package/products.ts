import { buildAgent, buildController } from "../build.ts";

/** What is packaged: one product is one package of each format and architecture. */
export interface Product {
  readonly name: "connector" | "connector-controller";
  readonly summary: string;
  readonly description: string;
  readonly build: (folder: string) => Promise<readonly string[]>;
  /** Programs of the bundle, and where they are called from. */
  readonly programs: Readonly<Record<string, "/usr/bin" | "/usr/sbin">>;
  /** Those that can complete what is typed. */
  readonly completes: readonly string[];
  readonly manPages: readonly string[];
  /** Files of systemd/ by the folder below /usr/lib that they go to. */
  readonly systemd: Readonly<Record<string, readonly string[]>>;
  /** The units that a package starts, stops and restarts are its scripts' matter. */
  readonly unit: string;
  readonly dependencies: Readonly<Record<"deb" | "rpm", Dependencies>>;
}

export interface Dependencies {
  readonly needs: readonly string[];
  readonly suggests: readonly string[];
}

/** What Node itself is linked with. */
const runtime = {
  deb: ["libc6 (>= 2.28)", "libgcc-s1", "libstdc++6 (>= 9)"],
  rpm: ["glibc >= 2.28", "libgcc", "libstdc++"],
} as const;

export const products: readonly Product[] = [
  {
    name: "connector",
    summary: "agent of a connector instance",
    description: `Carries users' packets to private applications in an AWS VPC, as one of a
group of up to 64 instances that are all active at once. The agent enrols
the instance, verifies the prefixes that AWS routes to it, leases addresses
from them, and keeps WireGuard, nftables and dnsmasq at what the controller
wants.`,
    build: buildAgent,
    programs: { "connector-agent": "/usr/sbin", connector: "/usr/bin" },
    completes: ["connector"],
    manPages: ["connector.1", "connector-agent.8", "enroll.yaml.5"],
    systemd: {
      "systemd/system": [
        "system/connector.service",
        "system/connector-leave.service",
        "system/connector-otp.path",
        "system/connector-otp.service",
      ],
      "sysusers.d": ["sysusers.d/connector.conf"],
      "tmpfiles.d": ["tmpfiles.d/connector.conf"],
      "sysctl.d": ["sysctl.d/60-connector.conf"],
      "modules-load.d": ["modules-load.d/connector.conf"],
      connector: ["take-parameters", "forget-otp"],
    },
    unit: "connector.service",
    dependencies: {
      deb: {
        needs: [
          ...runtime.deb,
          "systemd (>= 254)",
          "init-system-helpers (>= 1.52)",
          "passwd",
          "kmod",
          "iproute2",
          "nftables (>= 1.0.4)",
          "conntrack",
          "dnsmasq-base (>= 2.87)",
          "wireguard-tools",
        ],
        // Where the kernel has no WireGuard; AWS's and Debian's have.
        suggests: ["wireguard-go"],
      },
      rpm: {
        needs: [
          ...runtime.rpm,
          "systemd >= 252",
          "shadow-utils",
          "kmod",
          "iproute",
          "nftables >= 1.0.4",
          "conntrack-tools",
          "dnsmasq >= 2.87",
          "wireguard-tools",
        ],
        suggests: [],
      },
    },
  },
  {
    name: "connector-controller",
    summary: "controller of connector groups",
    description: `The brain of groups of connector instances, never in their data path: enrols
instances, places users' sessions on them, moves sessions off those that
fail, and serves the admin API. With the command line for it.`,
    build: buildController,
    programs: { "connector-controller": "/usr/bin" },
    completes: ["connector-controller"],
    manPages: ["connector-controller.8"],
    systemd: {
      "systemd/system": ["system/connector-controller.service"],
      "sysusers.d": ["sysusers.d/connector-controller.conf"],
      "tmpfiles.d": ["tmpfiles.d/connector-controller.conf"],
    },
    unit: "connector-controller.service",
    dependencies: {
      deb: {
        needs: [...runtime.deb, "systemd (>= 254)", "init-system-helpers (>= 1.52)", "passwd"],
        suggests: ["sqlite3"],
      },
      rpm: { needs: [...runtime.rpm, "systemd >= 252", "shadow-utils"], suggests: ["sqlite"] },
    },
  },
];

export type Architecture = "amd64" | "arm64";
export const architectures = ["amd64", "arm64"] as const satisfies readonly Architecture[];
export type Format = "deb" | "rpm";
export const formats = ["deb", "rpm"] as const satisfies readonly Format[];
