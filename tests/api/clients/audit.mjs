// The audits of graphql-http for servers, each with its verdict, as one line of JSON.

import { serverAudits } from "graphql-http";

const [url] = process.argv.slice(2);
const found = [];
for (const audit of serverAudits({ url })) {
  const { id, name } = audit;
  const result = await audit.fn();
  found.push({ id, name, status: result.status, reason: result.reason ?? null });
}
console.log(JSON.stringify(found));
