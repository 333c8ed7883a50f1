/**
 * Names in the kernel. What operators call groups, services and domains may hold any letter there is; nft's own names
 * may not. A name here is a readable piece of the real one and a hash of all of it, the same in every run; the real
 * one stands beside it as a comment.
 */

/** `grp_field-sales` is no name for nft: `grp_field_sales_0123456789abcdef` is. `kind` keeps it off nft's keywords. */
export function safeName(kind: string, text: string): string {
  const readable = text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "_")
    .slice(0, readableMax)
    .replace(/^_|_$/g, "");
  return [kind, readable, hash64(text)].filter((part) => part !== "").join("_");
}

/** The text as nft takes it between double quotes, where it knows no escapes; at most `commentBytesMax` bytes. */
export function commentText(text: string): string {
  let kept = "";
  let bytes = 0;
  for (const char of text.replace(/["\\\p{Cc}]/gu, "?")) {
    bytes += utf8Bytes(char);
    if (bytes > commentBytesMax) break;
    kept += char;
  }
  return kept;
}

const readableMax = 20;
/** libnftnl keeps 128 bytes of a rule's comment, the last of them a zero. */
const commentBytesMax = 120;

function utf8Bytes(char: string): number {
  const code = char.codePointAt(0) ?? 0;
  return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}

/** Two rounds of FNV-1a with different beginnings: names that differ, not a defence against someone who seeks equals. */
function hash64(text: string): string {
  return [0x811c9dc5, 0x050c5d1f].map((start) => hash32(text, start).toString(16).padStart(8, "0")).join("");
}

/** FNV-1a over UTF-16, with the beginning that is asked for. */
export function hash32(text: string, start: number): number {
  let hash = start;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    hash = Math.imul(hash ^ (unit & 0xff), 0x01000193);
    hash = Math.imul(hash ^ (unit >>> 8), 0x01000193);
  }
  return hash >>> 0;
}
