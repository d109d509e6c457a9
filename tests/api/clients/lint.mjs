// The rules of graphql-eslint for schemas and for Relay's connections over an SDL; what they complain of, as one line of
// JSON. What is decided otherwise here stands with its reason.

import { readFileSync } from "node:fs";
import graphql from "@graphql-eslint/eslint-plugin";
import { Linter } from "eslint";

const [path] = process.argv.slice(2);
const sdl = readFileSync(path, "utf8");
const decided = {
  // What can be asked for by itself is a Node and has an id; money, lines, figures and payloads are values and have none.
  "@graphql-eslint/strict-id-in-types": "off",
  // Pages are also of rows that are figures and no Nodes. And not every list is a page: the lines of an order or the errors
  // of an answer are short and come whole.
  "@graphql-eslint/relay-edge-types": [
    "error",
    { withEdgeSuffix: true, shouldImplementNode: false, listTypeCanWrapOnlyEdgeType: false },
  ],
  // The specification asks for one direction or the other; what is only read on from a point goes forwards.
  "@graphql-eslint/relay-arguments": ["error", { includeBoth: false }],
};
const found = new Linter({ configType: "flat" }).verify(
  sdl,
  [
    {
      files: ["**/*.graphql"],
      plugins: { "@graphql-eslint": graphql },
      languageOptions: { parser: graphql.parser, parserOptions: { graphQLConfig: { schema: sdl } } },
      rules: {
        ...graphql.configs["flat/schema-recommended"].rules,
        ...graphql.configs["flat/schema-relay"].rules,
        ...decided,
      },
    },
  ],
  { filename: path },
);
console.log(JSON.stringify(found.map((each) => `${each.ruleId ?? "unread"}: ${each.message}`)));
