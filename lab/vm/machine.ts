import { join } from "node:path";
import type { Instance } from "../imds/instance.ts";
import { Process } from "../process.ts";
import { must } from "../vpc/commands.ts";
import type { Host } from "../vpc/host.ts";
import { plugIn, tap } from "./cable.ts";
import { Console } from "./console.ts";

/** Nitro instances have UEFI where the image asks for it, and BIOS where the instance type has nothing else. */
export type Firmware = "uefi" | "bios";

/** Of Debian's package `ovmf`. */
export const uefiFirmware = "/usr/share/ovmf/OVMF.fd";

export interface MachineOptions {
  readonly host: Host;
  readonly ec2: Instance;
  readonly firmware: Firmware;
  /** Of this machine, qcow2: see `diskOver`. */
  readonly disk: string;
  /** For its log, and for its console's socket. */
  readonly folder: string;
  readonly memoryMiB?: number;
}

/** A virtual machine in the place of an instance of the VPC: firmware, kernel and all, by qemu without a processor's help. */
export class VirtualMachine implements AsyncDisposable {
  readonly console: Console;
  readonly #qemu: Process;
  readonly #dhcp: Process;

  private constructor(qemu: Process, dhcp: Process, serial: Console) {
    this.#qemu = qemu;
    this.#dhcp = dhcp;
    this.console = serial;
  }

  /** Switched on. What cloud-init takes for EC2 is what the firmware says of the machine (DMI). */
  static async start(options: MachineOptions): Promise<VirtualMachine> {
    const { host, ec2, firmware, disk, folder, memoryMiB = 1024 } = options;
    const dhcp = await plugIn(host, ec2, join(folder, "dhcp.log"));
    const [{ mac }] = ec2.interfaces;
    const socket = join(folder, "console.sock");
    const consoleLog = join(folder, "console.log");
    const uuid = `ec2${ec2.instanceId.slice(2, 7)}-0000-4000-8000-${ec2.instanceId.slice(-12)}`;
    const qemu = new Process({
      name: `${host.name}-vm`,
      command: host.command(["qemu-system-x86_64"]),
      args: [
        ...["-nodefaults", "-no-user-config", "-display", "none"],
        ...(firmware === "uefi" ? ["-bios", uefiFirmware] : []),
        // No device of the host's is needed, so that it runs wherever namespaces do. One processor: with two, qemu 7.2 now and
        // then runs into a breakpoint that the kernel has set and taken back while it patches itself.
        ...["-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", String(memoryMiB)],
        ...[
          "-smbios",
          `type=1,manufacturer=Amazon EC2,product=${ec2.instanceType},serial=${uuid},uuid=${uuid}`,
        ],
        ...["-smbios", `type=2,asset=${ec2.instanceId}`],
        // As a Nitro instance sees an EBS volume. Nothing outlives the test, so nothing is flushed.
        ...[
          "-drive",
          `file=${disk},if=none,id=root,format=qcow2,cache=unsafe`,
          "-device",
          "nvme,drive=root,serial=vol0",
        ],
        ...["-netdev", `tap,id=net,ifname=${tap},script=no,downscript=no`],
        ...["-device", `virtio-net-pci,netdev=net,mac=${mac}`],
        ...["-device", "virtio-rng-pci"],
        ...[
          "-chardev",
          `socket,id=serial,path=${socket},server=on,wait=off,logfile=${consoleLog}`,
          "-serial",
          "chardev:serial",
        ],
      ],
      logFile: join(folder, "qemu.log"),
    });
    qemu.start();
    return new VirtualMachine(qemu, dhcp, new Console(socket, consoleLog));
  }

  get isOn(): boolean {
    return this.#qemu.pid !== undefined;
  }

  /** Stops its processors, so that its disk can be copied as it would be found after a power cut. */
  pause(): void {
    this.#qemu.signal("SIGSTOP");
  }

  resume(): void {
    this.#qemu.signal("SIGCONT");
  }

  /** Pulls the plug. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.console[Symbol.dispose]();
    await Promise.all([this.#qemu.halt(), this.#dhcp.halt()]);
  }
}

/** A disk that keeps what a machine writes, and leaves the image below as it is; as large as a volume that was asked for. */
export async function diskOver(image: string, disk: string, gibibytes: number): Promise<void> {
  await must(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", image, disk, `${gibibytes}G`]);
}
