/** What a command's handler says to the program: run this, once the whole command line has been understood. */
export type Choose = (run: () => Promise<number>) => void;
