// What is used of Node and of a package without types.

declare const process: { argv: string[] };
declare module "ws";
