import packageFile from "../../package.json" with { type: "json" };

/** The version of this software: one for all parts. A bundle carries it inside. */
export const softwareVersion: string = packageFile.version;
