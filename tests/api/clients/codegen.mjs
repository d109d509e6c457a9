// graphql-codegen as makers of pages run it: types of every document, and the manifest of their hashes for a server.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { preset } from "@graphql-codegen/client-preset";
import { codegen } from "@graphql-codegen/core";
import { buildASTSchema, parse } from "graphql";

const [sdl, operations, out] = process.argv.slice(2);

function source(name) {
  const location = join(operations, name);
  const rawSDL = readFileSync(location, "utf8");
  return { location, rawSDL, document: parse(rawSDL) };
}

const schema = parse(readFileSync(sdl, "utf8"));
const outputs = await preset.buildGeneratesSection({
  baseOutputDir: `${out}/`,
  schema,
  schemaAst: buildASTSchema(schema),
  documents: readdirSync(operations).filter((name) => name.endsWith(".graphql")).map(source),
  config: {
    strictScalars: true,
    emitLegacyCommonJSImports: false,
    scalars: {
      Date: "string",
      DateTime: "string",
      Decimal: "string",
      JSON: "unknown",
      MinorUnits: "number",
      Position: "number",
      UUID: "string",
    },
  },
  presetConfig: {
    fragmentMasking: false,
    persistedDocuments: { hashPropertyName: "documentId" },
  },
  plugins: [],
  pluginMap: {},
  pluginContext: {},
});
for (const output of outputs) {
  mkdirSync(dirname(output.filename), { recursive: true });
  writeFileSync(output.filename, await codegen(output));
}
