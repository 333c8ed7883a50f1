/**
 * Names of instances: provider, short region, "con", and a five-digit hexadecimal number that counts up over the
 * whole deployment and is never used again. `aws-us-vir-con-00008`.
 */
export function instanceName(provider: string, region: string, number: number): string {
  return `${provider}-${shortRegion(region)}-con-${number.toString(16).padStart(5, "0")}`;
}

/** Area and the place the region is named after; a region that is not in the table stands for itself. */
export function shortRegion(region: string): string {
  return Object.hasOwn(shortRegions, region) ? (shortRegions[region] ?? region) : region;
}

/** https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html */
const shortRegions: Readonly<Record<string, string>> = {
  "us-east-1": "us-vir",
  "us-east-2": "us-ohi",
  "us-west-1": "us-cal",
  "us-west-2": "us-ore",
  "us-gov-east-1": "us-gov-east",
  "us-gov-west-1": "us-gov-west",
  "ca-central-1": "ca-cen",
  "ca-west-1": "ca-cal",
  "mx-central-1": "mx-cen",
  "sa-east-1": "sa-sao",
  "eu-central-1": "eu-fra",
  "eu-central-2": "eu-zur",
  "eu-west-1": "eu-irl",
  "eu-west-2": "eu-lon",
  "eu-west-3": "eu-par",
  "eu-north-1": "eu-sto",
  "eu-south-1": "eu-mil",
  "eu-south-2": "eu-spa",
  "il-central-1": "il-tel",
  "me-central-1": "me-uae",
  "me-south-1": "me-bah",
  "af-south-1": "af-cap",
  "ap-east-1": "ap-hon",
  "ap-south-1": "ap-mum",
  "ap-south-2": "ap-hyd",
  "ap-northeast-1": "ap-tok",
  "ap-northeast-2": "ap-seo",
  "ap-northeast-3": "ap-osa",
  "ap-southeast-1": "ap-sin",
  "ap-southeast-2": "ap-syd",
  "ap-southeast-3": "ap-jak",
  "ap-southeast-4": "ap-mel",
};
