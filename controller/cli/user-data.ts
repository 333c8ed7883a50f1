import { Document, isSeq, stringify } from "yaml";
import { failed, type Result, success } from "../../protocol/failures.ts";

/** What one instance is launched with. */
export interface UserData {
  /** The controller's URL, as instances reach it. */
  readonly controller: string;
  /** Undefined: cloud-init puts in what the metadata service says, so that one user-data fits every instance. */
  readonly address: { readonly ip: string; readonly gateway: string } | undefined;
  /** What devices dial; undefined: the instance's own address, which is private. */
  readonly publicAddress: PublicAddress | undefined;
  readonly otp: OtpSource;
  /** PEM of the only CAs to trust; undefined: the system's. */
  readonly ca: string | undefined;
}

/** The same on every launch, as an Elastic IP; or the one that the metadata service says EC2 gave to the instance. */
export type PublicAddress = { readonly is: "this"; readonly address: string } | { readonly is: "metadata" };

/** In clear, or where the instance fetches it with its role: `ssm:NAME` or `secretsmanager:ID`. */
export type OtpSource =
  | { readonly is: "here"; readonly secret: string }
  | { readonly is: "elsewhere"; readonly reference: string };

/** https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html: 16 KB, before base64. */
const bytesMax = 16_384;

/** Text for EC2's user-data field. Fails with `admin.file` when a CA bundle makes it longer than EC2 takes. */
export function userDataText({ controller, address, publicAddress, otp, ca }: UserData): Result<string> {
  const parameters = {
    controller,
    ip: address?.ip ?? "{{ ds.meta_data['local-ipv4'] }}",
    gateway: address?.gateway ?? "{{ router }}",
    ...(ca === undefined ? {} : { caFile }),
    ...(publicAddress === undefined ? {} : { publicAddress: dialled(publicAddress) }),
  };
  const files = [
    ...(ca === undefined ? [] : [file(caFile, ca, "0644")]),
    file("/run/connector-boot/enroll.yaml", stringify(parameters)),
    ...(otp.is === "here" ? [file(otpFile, `${otp.secret}\n`)] : []),
  ];
  const fetch = ["connector", "otp", "fetch", "--out", otpFile, "--wait", "600"];
  // Enabled for later boots, too, where the distribution's presets have not done it: user-data runs at the first one only.
  // Credentials are read at the start: a password that was fetched wants another one. What cloud-init wrote was there before.
  const commands =
    otp.is === "here"
      ? [["systemctl", "enable", "--now", "--no-block", unit]]
      : [
          ["systemctl", "enable", unit],
          [...fetch, otp.reference],
          ["systemctl", "restart", "--no-block", unit],
        ];
  const body = yamlText(files, commands);
  const text = `${headOf({ address, publicAddress })}#cloud-config\n${body}`;
  const bytes = Buffer.byteLength(text);
  if (bytes <= bytesMax) return success(text);
  return failed("admin.file", {
    option: "--ca-file",
    problem: `user-data would have ${bytes} bytes`,
    most: bytesMax,
  });
}

/** Commands in one line each, as people write them. */
function yamlText(files: readonly object[], commands: readonly (readonly string[])[]): string {
  const document = new Document({ write_files: files, runcmd: commands });
  commands.forEach((_, i) => {
    const command = document.getIn(["runcmd", i], true);
    if (isSeq(command)) command.flow = true;
  });
  return document.toString({ lineWidth: 0, flowCollectionPadding: false });
}

function dialled(of: PublicAddress): string {
  switch (of.is) {
    case "this":
      return of.address;
    case "metadata":
      return "{{ ds.meta_data['public-ipv4'] }}";
  }
}

/** What cloud-init needs to fill in what the metadata service says, before it reads the rest. */
function headOf({ address, publicAddress }: Pick<UserData, "address" | "publicAddress">): string {
  if (address === undefined) return `${template}${routerOfSubnet}`;
  return publicAddress?.is === "metadata" ? template : "";
}

const unit = "connector.service";
const caFile = "/etc/connector/ca.pem";
const otpFile = "/run/credstore/connector.otp";

/** `permissions` is a string in quotes: unquoted, YAML reads it as a number. */
function file(path: string, content: string, permissions = "0600") {
  return { path, permissions, content };
}

/**
 * cloud-init renders it before it reads it. AWS's router is the first address of the subnet.
 * https://cloudinit.readthedocs.io/en/latest/explanation/instancedata.html
 */
const template = "## template: jinja\n";
const routerOfSubnet = `{%- set eni = ds.meta_data.network.interfaces.macs[ds.meta_data.mac] -%}
{%- set subnet = eni['subnet-ipv4-cidr-block'].split('/')[0].split('.') -%}
{%- set router = subnet[:3] | join('.') ~ '.' ~ (subnet[3] | int + 1) -%}
`;
