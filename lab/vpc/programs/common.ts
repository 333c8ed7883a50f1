/** An IPv4 address as such, also where a socket of both families shows it as `::ffff:192.0.2.1`. */
export function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/, "");
}

/** The line by which whoever started a program knows that it answers. */
export function tellListening(where: string | number): void {
  process.stdout.write(`listening ${where}\n`);
}
