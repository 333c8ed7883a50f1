import type { Ec2Error } from "./errors.ts";

/** Text of one element. */
export type Xml = string & { readonly xml: unique symbol };

export function element(name: string, content: string | readonly Xml[]): Xml {
  return `<${name}>${typeof content === "string" ? escaped(content) : content.join("")}</${name}>` as Xml;
}

/** A list as EC2 writes it: `<name><item>…</item>…</name>`. */
export function items(name: string, all: readonly (string | readonly Xml[])[]): Xml {
  return element(
    name,
    all.map((content) => element("item", content)),
  );
}

export function xmlDocument(root: string, content: readonly Xml[]): string {
  const space = "http://ec2.amazonaws.com/doc/2016-11-15/";
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${root} xmlns="${space}">${content.join("")}</${root}>`;
}

export function errorDocument({ code, message }: Ec2Error, requestId: string): string {
  const error = element("Error", [element("Code", code), element("Message", message)]);
  const content = [element("Errors", [error]), element("RequestID", requestId)];
  return `<?xml version="1.0" encoding="UTF-8"?>\n${element("Response", content)}`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
