// What @graphql-inspector/core calls breaking between two SDLs, for each pair of a list that comes in as JSON; one line of
// JSON with as many lists of messages.

import { readFileSync } from "node:fs";
import { CriticalityLevel, diff } from "@graphql-inspector/core";
import { buildSchema } from "graphql";

const found = [];
for (const [before, after] of JSON.parse(readFileSync(0, "utf8"))) {
  const changes = await diff(buildSchema(before), buildSchema(after));
  found.push(changes.filter((each) => each.criticality.level === CriticalityLevel.Breaking).map((each) => each.message));
}
console.log(JSON.stringify(found));
