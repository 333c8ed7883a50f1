// The instance identity document and its signature, byte for byte as the metadata service gives them:
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-identity-documents.html
import type { Instance } from "./instance.ts";

/** Signs for one region, as AWS does with that region's key: RSA/SHA-256 over the exact bytes, in base64. */
export interface DocumentSigner {
  region: string;
  sign(document: string): string;
}

/** What `dynamic/instance-identity/` holds. */
export interface SignedIdentity {
  document: string;
  signature: string;
}

/** @throws RangeError when the signer is another region's: AWS never signs so. */
export function signedIdentity(instance: Instance, signer: DocumentSigner): SignedIdentity {
  if (signer.region !== instance.region) {
    throw new RangeError(`a key of ${signer.region} cannot sign for an instance in ${instance.region}`);
  }
  const document = identityDocument(instance);
  return { document, signature: wrapped(signer.sign(document)) };
}

function identityDocument(instance: Instance): string {
  const fields = {
    accountId: instance.accountId,
    architecture: instance.architecture,
    availabilityZone: instance.availabilityZone,
    billingProducts: null,
    devpayProductCodes: null,
    marketplaceProductCodes: null,
    imageId: instance.amiId,
    instanceId: instance.instanceId,
    instanceType: instance.instanceType,
    kernelId: null,
    pendingTime: instance.pendingTime,
    privateIp: instance.interfaces[0].localIpv4s[0],
    ramdiskId: null,
    region: instance.region,
    version: "2017-09-30",
  };
  const lines = Object.entries(fields).map(([key, value]) => `  "${key}" : ${JSON.stringify(value)}`);
  return `{\n${lines.join(",\n")}\n}`;
}

/** In lines of 76 characters (MIME, RFC 2045), no newline at the end. */
function wrapped(base64: string): string {
  return (base64.match(/.{1,76}/g) ?? []).join("\n");
}
